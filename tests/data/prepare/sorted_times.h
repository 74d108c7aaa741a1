// Times in one sorted list, counted: what a split by time is decided by.
#pragma once
#include <map>
#include <vector>

#include "data/prepare/splits.h"

namespace allreco::data {

inline TimeBoundaries boundaries_of(const std::vector<std::int64_t>& times, double validation_share,
                                    double test_share) {
  std::map<std::int64_t, std::int64_t> counts;
  for (const std::int64_t time : times) ++counts[time];
  std::vector<TimeCount> histogram;
  for (const auto& [time, count] : counts) histogram.push_back({time, count});
  return time_boundaries(histogram, validation_share, test_share);
}

}  // namespace allreco::data
