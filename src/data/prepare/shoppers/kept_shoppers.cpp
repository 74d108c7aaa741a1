#include "data/prepare/shoppers/kept_shoppers.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include "core/interrupt.h"

namespace allreco::data {
using core::Json;

namespace {

constexpr std::uint32_t kNotInCatalogue = 0xFFFFFFFF;

/// All counters, in one order.
std::array<std::int64_t*, 11> counters(ReviewCounts& c) {
  return {&c.rows,          &c.below_min_rating,  &c.not_verified,  &c.duplicate_row,
          &c.repeated_item, &c.no_metadata,       &c.title_missing, &c.title_script,
          &c.kept,          &c.title_markup_only, &c.below_core};
}

void sum_over_ranks(PrepareRanks& ranks, ReviewCounts& counts) {
  std::vector<std::int64_t> values;
  for (const std::int64_t* counter : counters(counts)) values.push_back(*counter);
  ranks.all_sum(values);
  std::size_t i = 0;
  for (std::int64_t* counter : counters(counts)) *counter = values[i++];
}

class Keeping {
 public:
  Keeping(const PrepareContext& context, const ReviewedItems& reviewed, const std::vector<std::uint32_t>& places,
          ItemTable&& table)
      : context_(context),
        reviewed_(reviewed),
        places_(places),
        table_(std::move(table)),
        is_dropped_item_(table_.items.size()),
        is_dropped_shopper_(static_cast<std::size_t>(reviewed.num_shoppers())) {}

  KeptShoppers run(const ReviewCounts& counts, const CoreLimits& limits);

 private:
  bool is_usable(std::uint32_t place) const { return table_.title_ids[place] != ItemTable::kNoTitle; }
  bool is_kept(const ReviewedItem& item) const {
    const std::uint32_t place = places_[item.item];
    return item.is_chosen != 0 && is_usable(place) && !is_dropped_item_[place];
  }
  std::int64_t* reason_to_drop(std::uint32_t place, ReviewCounts& counts) const;
  void count_titles(ReviewCounts& counts) const;
  Json find_core(const CoreLimits& limits);
  struct Round {
    std::vector<std::int64_t> item_counts;  // of all ranks, by place, of shoppers that are left
    std::int64_t shoppers_left = 0, reviews_left = 0, shoppers_dropped = 0;
  };
  Round drop_shoppers(std::int64_t at_least);
  void build_catalogue(std::vector<CatalogueEntry>& catalogue, std::vector<std::uint32_t>& items);
  void fill(const std::vector<std::uint32_t>& items, KeptShoppers& kept) const;

  const PrepareContext& context_;
  const ReviewedItems& reviewed_;
  const std::vector<std::uint32_t>& places_;
  ItemTable table_;
  std::vector<bool> is_dropped_item_;     // by place: too few interactions
  std::vector<bool> is_dropped_shopper_;  // by this rank's number
};

/// The counter of the first reason to drop a review of this item, or none.
std::int64_t* Keeping::reason_to_drop(std::uint32_t place, ReviewCounts& counts) const {
  if (!table_.has_metadata[place]) return &counts.no_metadata;
  switch (table_.titles[place].problem) {
    case TitleProblem::missing:
      return &counts.title_missing;
    case TitleProblem::script:
      return &counts.title_script;
    case TitleProblem::markup_only:
      return &counts.title_markup_only;
    default:
      return nullptr;
  }
}

void Keeping::count_titles(ReviewCounts& counts) const {
  reviewed_.for_each([&](std::uint64_t, std::span<ReviewedItem> items) {
    for (const ReviewedItem& item : items) {
      if (item.is_chosen == 0) continue;
      std::int64_t* const reason = reason_to_drop(places_[item.item], counts);
      ++(reason == nullptr ? counts.kept : *reason);
    }
  });
}

Keeping::Round Keeping::drop_shoppers(std::int64_t at_least) {
  Round round;
  round.item_counts.assign(table_.items.size(), 0);
  std::size_t shopper = 0;
  reviewed_.for_each([&](std::uint64_t, std::span<ReviewedItem> items) {
    const std::size_t number = shopper++;
    if (is_dropped_shopper_[number]) return;
    const std::int64_t count = std::count_if(items.begin(), items.end(), [&](auto& item) { return is_kept(item); });
    if (count == 0 || count < at_least) {
      is_dropped_shopper_[number] = true;
      if (count > 0) ++round.shoppers_dropped;
      return;
    }
    ++round.shoppers_left;
    round.reviews_left += count;
    for (const ReviewedItem& item : items)
      if (is_kept(item)) ++round.item_counts[places_[item.item]];
  });
  context_.ranks.all_sum(round.item_counts);
  std::vector<std::int64_t> totals{round.shoppers_left, round.reviews_left, round.shoppers_dropped};
  context_.ranks.all_sum(totals);
  round.shoppers_left = totals[0];
  round.reviews_left = totals[1];
  round.shoppers_dropped = totals[2];
  return round;
}

/// Until neither a shopper nor an item has too few; each round drops shoppers, then items.
Json Keeping::find_core(const CoreLimits& limits) {
  Json rounds = Json::array();
  for (;;) {
    core::throw_if_interrupted();
    const Round round = drop_shoppers(limits.min_user_interactions);
    std::int64_t items_left = 0, items_dropped = 0;
    for (std::size_t place = 0; place < round.item_counts.size(); ++place) {
      const std::int64_t count = round.item_counts[place];
      if (count == 0) continue;
      const bool is_too_few = count < limits.min_item_interactions;
      if (is_too_few) is_dropped_item_[place] = true;
      ++(is_too_few ? items_dropped : items_left);
    }
    rounds.push_back({{"shoppers_dropped", round.shoppers_dropped},
                      {"items_dropped", items_dropped},
                      {"shoppers_left", round.shoppers_left},
                      {"items_left", items_left}});
    if (items_dropped == 0) return rounds;  // and so no shopper has fewer than in this round
  }
}

void Keeping::build_catalogue(std::vector<CatalogueEntry>& catalogue, std::vector<std::uint32_t>& items) {
  std::vector<std::int64_t> is_used(table_.items.size());
  std::size_t shopper = 0;
  reviewed_.for_each([&](std::uint64_t, std::span<ReviewedItem> reviews) {
    if (is_dropped_shopper_[shopper++]) return;
    for (const ReviewedItem& item : reviews)
      if (is_kept(item)) is_used[places_[item.item]] = 1;
  });
  context_.ranks.all_sum(is_used);
  items.assign(table_.items.size(), kNotInCatalogue);
  for (std::size_t place = 0; place < items.size(); ++place) {
    if (is_used[place] == 0) continue;
    items[place] = static_cast<std::uint32_t>(catalogue.size());
    catalogue.push_back({std::move(table_.items[place]), std::move(table_.titles[place].text), table_.title_ids[place],
                         std::move(table_.details[place])});
  }
}

void Keeping::fill(const std::vector<std::uint32_t>& items, KeptShoppers& kept) const {
  std::size_t number = 0;
  reviewed_.for_each([&](std::uint64_t user, std::span<ReviewedItem> reviews) {
    const bool is_dropped = is_dropped_shopper_[number++];
    Shopper shopper;
    shopper.user = user;
    for (const ReviewedItem& review : reviews) {
      const std::uint32_t place = places_[review.item];
      if (is_usable(place)) shopper.bought_titles.push_back(table_.title_ids[place]);
      if (!is_dropped && is_kept(review)) shopper.purchases.push_back(purchase_at(items[place], review.time_ms));
    }
    if (shopper.purchases.empty()) return;
    finish_shopper(shopper);
    kept.store.append(shopper);
  });
}

KeptShoppers Keeping::run(const ReviewCounts& counts, const CoreLimits& limits) {
  KeptShoppers kept(context_.memory);
  kept.counts = counts;
  count_titles(kept.counts);
  if (limits.min_user_interactions > 0 || limits.min_item_interactions > 0) kept.k_core = find_core(limits);
  std::vector<std::uint32_t> items;
  build_catalogue(kept.catalogue, items);
  kept.catalogue_counts = table_.counts;
  kept.catalogue_counts["catalogue"] = kept.catalogue.size();
  fill(items, kept);
  kept.counts.below_core = kept.counts.kept - kept.store.num_purchases();
  kept.counts.kept = kept.store.num_purchases();
  sum_over_ranks(context_.ranks, kept.counts);
  return kept;
}

}  // namespace

KeptShoppers keep_shoppers(const PrepareContext& context, const ReviewedItems& reviewed,
                           const std::vector<std::uint32_t>& places, ItemTable&& table, const ReviewCounts& counts,
                           const CoreLimits& limits) {
  context.ranks.enter("join");
  return Keeping(context, reviewed, places, std::move(table)).run(counts, limits);
}

}  // namespace allreco::data
