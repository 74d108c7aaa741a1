// ReviewedItems: one rank's shoppers as their sorted reviews leave them, before anybody knows which items have a title:
// the filters have passed, and of each shopper's reviews of an item one is chosen.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/spool.h"
#include "data/prepare/memory_plan.h"
#include "data/prepare/shoppers/row_sorter.h"
#include "data/prepare/shoppers/shoppers.h"

namespace allreco::data {

struct ReviewedItem {
  std::int64_t time_ms = 0;
  std::uint32_t item = 0;       // a number of this rank
  std::uint32_t is_chosen = 0;  // else a filter dropped the review: it counts as known to the shopper, and no more
};

class ReviewedItems {
 public:
  explicit ReviewedItems(const MemoryPlan& memory) : spool_(memory.spill_directory, memory.spool()) {}

  /// From rows in the order of comes_before. Sets the counts of rows and of what filters and duplicates drop. Returns
  /// the items' ids by number.
  std::vector<std::string> fill(RowSorter& sorter, const ReviewFilters& filters, ReviewCounts& counts);

  /// Calls visit(user, items) for each shopper in order; user is core::key_of of the id. The items may be changed.
  void for_each(const std::function<void(std::uint64_t user, std::span<ReviewedItem>)>& visit) const;
  std::int64_t num_shoppers() const { return num_shoppers_; }
  std::uint64_t spilled_bytes() const { return spool_.spilled_bytes(); }

 private:
  void append(std::uint64_t user, const std::vector<ReviewedItem>& items);

  core::Spool spool_;
  std::int64_t num_shoppers_ = 0;
};

}  // namespace allreco::data
