#include "data/prepare/shoppers/reviewed_items.h"

#include "core/random.h"
#include "data/prepare/shoppers/item_table.h"

namespace allreco::data {

namespace {

/// The counter of the filter that drops a review, or none.
std::int64_t* failed_filter(const RowView& row, const ReviewFilters& filters, ReviewCounts& counts) {
  if (static_cast<double>(row.rating) < filters.min_rating) return &counts.below_min_rating;
  if (filters.verified_only && !row.verified) return &counts.not_verified;
  return nullptr;
}

/// Rows of one shopper, as they come. Of those of an item that pass the filters the first is chosen.
class Chooser {
 public:
  Chooser(const ReviewFilters& filters, ReviewCounts& counts) : filters_(filters), counts_(counts) {}

  void begin_shopper() { has_chosen_ = false; }
  bool chooses(const RowView& row, std::uint32_t item) {
    if (auto* const reason = failed_filter(row, filters_, counts_)) {
      ++*reason;
      return false;
    }
    const bool is_first = !has_chosen_ || item != last_item_;
    if (!is_first) ++(row.time_ms == last_time_ms_ ? counts_.duplicate_row : counts_.repeated_item);
    has_chosen_ = true;
    last_item_ = item;
    last_time_ms_ = row.time_ms;
    return is_first;
  }

 private:
  const ReviewFilters& filters_;
  ReviewCounts& counts_;
  bool has_chosen_ = false;
  std::uint32_t last_item_ = 0;
  std::int64_t last_time_ms_ = 0;  // of the last row that passed
};

struct ReviewedHeader {
  std::uint64_t user, num_items;
};

}  // namespace

void ReviewedItems::append(std::uint64_t user, const std::vector<ReviewedItem>& items) {
  spool_.append_value(ReviewedHeader{user, items.size()});
  spool_.append({reinterpret_cast<const char*>(items.data()), items.size() * sizeof(ReviewedItem)});
  ++num_shoppers_;
}

std::vector<std::string> ReviewedItems::fill(RowSorter& sorter, const ReviewFilters& filters, ReviewCounts& counts) {
  ItemNumbers numbers;
  Chooser chooser(filters, counts);
  std::string user;
  std::vector<ReviewedItem> items;
  sorter.for_each_sorted([&](const RowView& row) {
    if (items.empty() || row.user != user) {
      if (!items.empty()) append(core::key_of(user), items);
      user = row.user;
      items.clear();
      chooser.begin_shopper();
    }
    ++counts.rows;
    const std::uint32_t item = numbers.number_of(row.item);
    const bool is_chosen = chooser.chooses(row, item);
    // A row that nothing is made of need not be kept, if its item is known already.
    if (is_chosen || items.empty() || items.back().item != item) items.push_back({row.time_ms, item, is_chosen});
  });
  if (!items.empty()) append(core::key_of(user), items);
  return numbers.take();
}

void ReviewedItems::for_each(const std::function<void(std::uint64_t user, std::span<ReviewedItem>)>& visit) const {
  core::SpoolReader reader(spool_);
  std::vector<ReviewedItem> items;
  while (!reader.at_end()) {
    const auto header = reader.read_value<ReviewedHeader>();
    items.resize(header.num_items);
    for (ReviewedItem& item : items) item = reader.read_value<ReviewedItem>();
    visit(header.user, items);
  }
}

}  // namespace allreco::data
