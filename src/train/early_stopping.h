// Early stopping, as transformers' EarlyStoppingCallback decides it. Pure.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/json.h"

namespace allreco::train {

struct Patience {
  std::int64_t evaluations = 0;  // 0: endless
  double threshold = 0;          // a gain of no more than this is none
  bool greater_is_better = false;
};

/// Whether the last `evaluations` of the metrics so far, in order, brought no gain over the best before each.
bool is_out_of_patience(std::span<const double> metrics, const Patience& patience);

/// The values of `key` in the lines of a run's log that have it, oldest first. Null, as which JSON writes what is not
/// finite, is NaN: a run that resumes counts as the one that it goes on from.
std::vector<double> metrics_in(const std::vector<core::Json>& log, const std::string& key);

}  // namespace allreco::train
