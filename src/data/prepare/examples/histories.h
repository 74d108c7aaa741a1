// A shopper's purchases to next-item examples: a pure function of one shopper and of the catalogue, so that any number
// of workers can run it on any part of the shoppers.
#pragma once
#include <cstdint>
#include <vector>

#include "data/prepare/shoppers/shoppers.h"

namespace allreco::data {

struct HistoryExample {
  std::uint64_t user = 0;
  std::int64_t timestamp = 0;  // of the target
  std::uint32_t target = 0;
  std::vector<std::uint32_t> history;  // oldest first
  bool tied_with_last = false;  // the target has the same time as the newest history item: their order is a convention
  bool repeats_title = false;   // the target's title (another asin) stands in the history
  std::vector<std::uint32_t> candidates;  // as shown; empty without candidates
  std::uint8_t gold = 0;                  // index of the target in candidates
  bool has_other_categories = false;      // with NegativePool::of_category: its category had too few
};

/// The example whose target is purchase `place` (> 0), without candidates.
HistoryExample example_at(const Shopper& shopper, std::size_t place, const std::vector<CatalogueEntry>& catalogue,
                          std::int64_t max_history);

}  // namespace allreco::data
