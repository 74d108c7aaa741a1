// Early stopping, as transformers' EarlyStoppingCallback decides it. Pure.
#pragma once
#include <cstdint>
#include <span>

namespace allreco::train {

struct Patience {
  std::int64_t evaluations = 0;  // 0: endless
  double threshold = 0;          // a gain of no more than this is none
  bool greater_is_better = false;
};

/// Whether the last `evaluations` of the metrics so far, in order, brought no gain over the best before each.
bool is_out_of_patience(std::span<const double> metrics, const Patience& patience);

}  // namespace allreco::train
