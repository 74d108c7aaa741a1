// Shoppers: who bought what when, and what is counted on the way to them.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/input/metadata.h"

namespace allreco::data {

struct CatalogueEntry {
  std::string asin;
  std::string title;           // cleaned
  std::uint32_t title_id = 0;  // equal for equal titles: different asins often share one
  ItemDetails details = {};
};

struct Purchase {
  std::uint32_t item = 0;         // index into the catalogue
  std::uint32_t millisecond = 0;  // of the second: orders purchases, and that is all
  std::int64_t timestamp = 0;     // seconds since 1970: what a dataset stores and splits are decided by
};

Purchase purchase_at(std::uint32_t item, std::int64_t time_ms);
inline bool is_same_time(const Purchase& a, const Purchase& b) {
  return a.timestamp == b.timestamp && a.millisecond == b.millisecond;
}

struct Shopper {
  std::uint64_t user = 0;           // a hash of the reviewerID, the same in every file
  std::vector<Purchase> purchases;  // that passed the filters, by (time, asin); 2018's times are whole days
  std::vector<std::uint32_t>
      bought_titles;  // sorted title ids of everything reviewed, whether or not it passed the filters
};

/// Puts purchases and titles in order, and equal titles to one.
void finish_shopper(Shopper& shopper);

struct ReviewFilters {
  double min_rating = 0;
  bool verified_only = false;
};

/// Rows in, rows dropped by reason, rows kept: rows = sum of the others. Reasons are tried in this order.
struct ReviewCounts {
  std::int64_t rows = 0;
  std::int64_t below_min_rating = 0;
  std::int64_t not_verified = 0;
  std::int64_t duplicate_row = 0;  // the same shopper, item and time as another row
  std::int64_t repeated_item = 0;  // the shopper's later reviews of an item
  std::int64_t no_metadata = 0;
  std::int64_t title_missing = 0;
  std::int64_t title_script = 0;
  std::int64_t title_markup_only = 0;
  std::int64_t below_core = 0;  // of shoppers or items with too few
  std::int64_t kept = 0;
};

struct Shoppers {
  std::vector<CatalogueEntry> catalogue;  // the items of kept reviews, sorted by asin
  std::vector<Shopper> shoppers;          // sorted by reviewerID; those with a kept review
  ReviewCounts counts;
  core::Json catalogue_counts;  // items reviewed, without metadata, with unusable title, titles cut, titles shared,
                                // catalogue size
};

}  // namespace allreco::data
