// Confidence intervals: Wilson's for a plain share, and the percentile bootstrap over users for any mean.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/json_fields.h"

namespace allreco::eval {

struct Interval {
  double low = 0;
  double high = 0;
};
/// [low, high]
inline core::Json json_of(const Interval& interval) { return {interval.low, interval.high}; }
void read_json(const core::Json& json, Interval& interval, const std::string& where);

/// Wilson's score interval at 95 % (Wilson 1927; z = 1.959964) of `successes` in `trials`; successes may be an
/// expectation over ties. It takes examples as independent. REQUIRES 0 <= successes <= trials and trials > 0.
Interval wilson_interval(double successes, std::int64_t trials);

/// Groups of examples that are resampled together: one a user. Examples whose user is unknown stand each for
/// themselves.
struct Clusters {
  std::vector<std::int64_t> of_example;  // dense index, in order of first appearance
  std::int64_t count = 0;
  std::int64_t num_users = 0;  // known ones; 0: resamples are of examples
};
Clusters clusters_of(std::span<const std::optional<std::uint64_t>> users);

/// 95 % percentile bootstrap of the mean of each column (one value an example, all columns with the same resamples). A
/// resample draws clusters.count clusters with replacement, with the draws of (seed, resample): a pure function of its
/// arguments. REQUIRES finite values and resamples >= 1000
/// (fewer say nothing about a 2.5 % tail).
std::vector<Interval> bootstrap_intervals(const std::vector<std::vector<double>>& columns, const Clusters& clusters,
                                          std::int64_t resamples, std::uint64_t seed);

}  // namespace allreco::eval
