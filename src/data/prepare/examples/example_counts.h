// What is counted of the examples that are made of shoppers.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "core/json.h"
#include "data/prepare/ranks.h"
#include "data/store/split_statistics.h"

namespace allreco::data {

struct ExampleCounts {
  SplitStatistics statistics;
  std::array<std::int64_t, kSplits.size()> tied_with_last{};  // per split, in the order of kSplits
  std::array<std::int64_t, kSplits.size()> repeats_title{};
  std::int64_t too_few_negatives = 0, too_long = 0, truncated = 0;
  std::int64_t other_categories = 0;  // examples with negatives that are not of the target's category, though asked for
  std::vector<std::int64_t> target_counts;  // by item, in train

  /// All but target_counts, which are counted once for a rank.
  void merge(const ExampleCounts& other);
  /// Collective: what all ranks have counted.
  void join(PrepareRanks& ranks);

  /// {split: share} of the counts above, of splits with examples.
  core::Json shares(const std::array<std::int64_t, kSplits.size()>& counts) const;
};

}  // namespace allreco::data
