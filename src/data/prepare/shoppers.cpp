#include "data/prepare/shoppers.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>

#include "core/check.h"
#include "core/random.h"

namespace allreco::data {
using core::Json;

namespace {

constexpr std::uint32_t kNoItem = 0xFFFFFFFF;

/// result[i] = the place of texts[i] in sorted order. REQUIRES distinct texts.
std::vector<std::uint32_t> ranks_of(const std::vector<std::string>& texts) {
  std::vector<std::uint32_t> order(texts.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return texts[a] < texts[b]; });
  std::vector<std::uint32_t> ranks(texts.size());
  for (std::uint32_t place = 0; place < order.size(); ++place) ranks[order[place]] = place;
  return ranks;
}

/// Numbers reviewers and asins by sorted order instead of by appearance, and sorts the rows: by shopper, item, time;
/// the row to keep of equal ones first.
std::vector<Review> canonical_rows(const ReviewFile& file) {
  const auto reviewer_ranks = ranks_of(file.reviewers);
  const auto asin_ranks = ranks_of(file.asins);
  std::vector<Review> rows = file.reviews;
  for (Review& row : rows) {
    row.reviewer = reviewer_ranks[row.reviewer];
    row.asin = asin_ranks[row.asin];
  }
  std::sort(rows.begin(), rows.end(), [](const Review& a, const Review& b) {
    return std::tuple(a.reviewer, a.asin, a.timestamp, -a.rating, !a.verified) <
           std::tuple(b.reviewer, b.asin, b.timestamp, -b.rating, !b.verified);
  });
  return rows;
}

/// The counter of the filter that drops a review, or none.
std::int64_t* failed_filter(const Review& row, const ReviewFilters& filters, ReviewCounts& counts) {
  if (static_cast<double>(row.rating) < filters.min_rating) return &counts.below_min_rating;
  if (filters.verified_only && !row.verified) return &counts.not_verified;
  return nullptr;
}

/// Of the rows that pass the filters the first one of each shopper's reviews of an item: true where a row is it.
std::vector<bool> chosen_rows(const std::vector<Review>& rows, const ReviewFilters& filters, ReviewCounts& counts) {
  std::vector<bool> is_chosen(rows.size());
  const Review* last = nullptr;  // of those that pass
  for (size_t i = 0; i < rows.size(); ++i) {
    const Review& row = rows[i];
    if (auto* const reason = failed_filter(row, filters, counts)) {
      ++*reason;
      continue;
    }
    const bool same_item = last != nullptr && last->reviewer == row.reviewer && last->asin == row.asin;
    if (!same_item)
      is_chosen[i] = true;
    else
      ++(row.timestamp == last->timestamp ? counts.duplicate_row : counts.repeated_item);
    last = &row;
  }
  return is_chosen;
}

/// The counter of the first reason to drop a review of this title (nullptr: metadata is missing), or none.
std::int64_t* reason_to_drop(const CleanTitle* title, ReviewCounts& counts) {
  if (title == nullptr) return &counts.no_metadata;
  if (title->problem == TitleProblem::missing) return &counts.title_missing;
  if (title->problem == TitleProblem::script) return &counts.title_script;
  if (title->problem == TitleProblem::markup_only) return &counts.title_markup_only;
  return nullptr;
}

struct Titles {
  std::vector<const std::string*> asins;  // by asin number
  std::vector<const CleanTitle*> titles;  // by asin number; nullptr without metadata
  std::vector<std::uint32_t> title_ids;   // by asin number; kNoItem where unusable
  std::uint32_t num_title_ids = 0;
};

Titles join_titles(const ReviewFile& file, const Metadata& metadata) {
  Titles joined;
  for (const std::string& asin : file.asins) joined.asins.push_back(&asin);
  std::sort(joined.asins.begin(), joined.asins.end(), [](auto a, auto b) { return *a < *b; });
  std::map<std::string_view, std::uint32_t> ids;
  for (const std::string* asin : joined.asins) {
    const auto found = metadata.titles.find(*asin);
    const CleanTitle* title = found == metadata.titles.end() ? nullptr : &found->second;
    const bool usable = title != nullptr && title->problem == TitleProblem::none;
    joined.titles.push_back(title);
    joined.title_ids.push_back(
        usable ? ids.try_emplace(title->text, static_cast<std::uint32_t>(ids.size())).first->second : kNoItem);
  }
  joined.num_title_ids = static_cast<std::uint32_t>(ids.size());
  return joined;
}

Json count_catalogue(const Titles& joined, const Metadata& metadata, size_t catalogue_size) {
  std::int64_t no_metadata = 0;
  std::int64_t unusable = 0;
  std::int64_t cut = 0;
  std::int64_t usable = 0;
  for (const CleanTitle* title : joined.titles) {
    if (title == nullptr) {
      ++no_metadata;
    } else if (title->problem != TitleProblem::none) {
      ++unusable;
    } else {
      ++usable;
      cut += title->was_cut ? 1 : 0;
    }
  }
  return {{"items_reviewed", joined.asins.size()},
          {"items_without_metadata", no_metadata},
          {"items_without_usable_title", unusable},
          {"items_described", metadata.num_described},
          {"titles_cut", cut},
          {"items_sharing_a_title", usable - static_cast<std::int64_t>(joined.num_title_ids)},
          {"metadata_rows_repeated", metadata.num_repeated},
          {"catalogue", catalogue_size}};
}

/// Gives the asins with a kept review their place in the catalogue; result[asin number] = item.
std::vector<std::uint32_t> build_catalogue(const Titles& joined, const std::vector<bool>& is_used,
                                           std::vector<CatalogueEntry>& catalogue) {
  std::vector<std::uint32_t> items(joined.asins.size(), kNoItem);
  for (size_t asin = 0; asin < joined.asins.size(); ++asin) {
    if (!is_used[asin]) continue;
    items[asin] = static_cast<std::uint32_t>(catalogue.size());
    catalogue.push_back({*joined.asins[asin], joined.titles[asin]->text, joined.title_ids[asin]});
  }
  return items;
}

void check_distinct_users(const std::vector<Shopper>& shoppers) {
  std::vector<std::uint64_t> users;
  for (const Shopper& shopper : shoppers) users.push_back(shopper.user);
  std::sort(users.begin(), users.end());
  core::require(std::adjacent_find(users.begin(), users.end()) == users.end(),
                "two reviewerIDs have the same 64-bit hash");
}

}  // namespace

Purchase purchase_at(std::uint32_t item, std::int64_t time_ms) {
  const std::int64_t millisecond = ((time_ms % 1000) + 1000) % 1000;
  return {item, static_cast<std::uint32_t>(millisecond), (time_ms - millisecond) / 1000};
}

void finish_shopper(Shopper& shopper) {
  std::sort(shopper.purchases.begin(), shopper.purchases.end(), [](const Purchase& a, const Purchase& b) {
    return std::tuple(a.timestamp, a.millisecond, a.item) < std::tuple(b.timestamp, b.millisecond, b.item);
  });  // items are numbered by asin
  auto& bought = shopper.bought_titles;
  std::sort(bought.begin(), bought.end());
  bought.erase(std::unique(bought.begin(), bought.end()), bought.end());
}

Shoppers build_shoppers(const ReviewFile& file, const Metadata& metadata, const ReviewFilters& filters) {
  Shoppers result;
  ReviewCounts& counts = result.counts;
  counts.rows = static_cast<std::int64_t>(file.reviews.size());
  const std::vector<Review> rows = canonical_rows(file);
  const std::vector<bool> is_chosen = chosen_rows(rows, filters, counts);
  const Titles joined = join_titles(file, metadata);
  result.num_title_ids = joined.num_title_ids;

  std::vector<bool> is_kept(rows.size());
  std::vector<bool> is_used(file.asins.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!is_chosen[i]) continue;
    std::int64_t* const reason = reason_to_drop(joined.titles[rows[i].asin], counts);
    ++(reason == nullptr ? counts.kept : *reason);
    is_kept[i] = reason == nullptr;
    if (is_kept[i]) is_used[rows[i].asin] = true;
  }
  const std::vector<std::uint32_t> items = build_catalogue(joined, is_used, result.catalogue);
  for (CatalogueEntry& entry : result.catalogue)
    if (const auto found = metadata.details.find(entry.asin); found != metadata.details.end())
      entry.details = found->second;

  std::vector<std::string> reviewers = file.reviewers;
  std::sort(reviewers.begin(), reviewers.end());
  for (size_t first = 0, i = 0; first < rows.size(); first = i) {
    Shopper shopper;
    shopper.user = core::key_of(reviewers[rows[first].reviewer]);
    for (i = first; i < rows.size() && rows[i].reviewer == rows[first].reviewer; ++i) {
      const std::uint32_t title_id = joined.title_ids[rows[i].asin];
      if (title_id != kNoItem) shopper.bought_titles.push_back(title_id);
      if (is_kept[i]) shopper.purchases.push_back({items[rows[i].asin], 0, rows[i].timestamp});
    }
    finish_shopper(shopper);
    if (!shopper.purchases.empty()) result.shoppers.push_back(std::move(shopper));
  }
  check_distinct_users(result.shoppers);
  result.catalogue_counts = count_catalogue(joined, metadata, result.catalogue.size());
  return result;
}

}  // namespace allreco::data
