#include "data/prepare/shoppers/shopper_intake.h"

#include <string>
#include <utility>
#include <vector>

#include "data/prepare/shoppers/review_intake.h"

namespace allreco::data {

namespace {

/// Collective. Returns the ids of this rank's items by number.
std::vector<std::string> choose_reviews(const PrepareContext& context, const PrepareConfig& config,
                                        ReviewedItems& reviewed, ReviewCounts& counts, core::Json& lines) {
  RowSorter sorter(context.memory.spill_directory, context.memory.sorter());
  lines = take_in_reviews(context, config.reviews, config.max_bad_line_share, config.verified_only, sorter).lines;
  context.ranks.enter("sort");
  return context.progress.timed("sort", [&] {
    return reviewed.fill(sorter, {config.min_rating, config.verified_only}, counts);
  });
}

}  // namespace

ShopperIntake take_in_shoppers(const PrepareContext& context, const PrepareConfig& config) {
  PrepareProgress& progress = context.progress;
  ReviewedItems reviewed(context.memory);
  ReviewCounts counts;
  core::Json review_lines;
  std::vector<std::string> items = choose_reviews(context, config, reviewed, counts, review_lines);
  const TitleRules rules{config.max_title_length, config.untitled_items == "describe"};
  ItemTable table = progress.timed(
      "metadata", [&] { return join_items(context, items, config.metadata, rules, config.max_bad_line_share); });
  core::Json metadata_lines = std::move(table.lines);
  std::vector<std::uint32_t> places;
  for (const std::string& item : items) places.push_back(table.place_of(item));
  std::vector<std::string>().swap(items);
  KeptShoppers kept = progress.timed("join", [&] {
    return keep_shoppers(context, reviewed, places, std::move(table), counts,
                         {config.min_user_interactions, config.min_item_interactions});
  });
  return {std::move(kept), std::move(review_lines), std::move(metadata_lines)};
}

}  // namespace allreco::data
