#include "eval/intervals.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "core/check.h"
#include "core/random.h"

namespace allreco::eval {

namespace {

constexpr double kTail = 0.025;                  // on each side of 95 %
constexpr double kNormalQuantile = 1.959963985;  // of 1 - kTail

/// The q-quantile with linear interpolation between order statistics (type 7 of Hyndman & Fan 1996, numpy's default).
double quantile_of_sorted(const std::vector<double>& sorted, double q) {
  const double place = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

/// Per cluster its number of examples, then the sum of each column: [clusters, 1 + columns], row-major, so that a draw
/// reads one place.
std::vector<double> cluster_sums(const std::vector<std::vector<double>>& columns, const Clusters& clusters) {
  const std::size_t width = columns.size() + 1;
  std::vector<double> sums(static_cast<std::size_t>(clusters.count) * width, 0.0);
  for (std::size_t i = 0; i < clusters.of_example.size(); ++i) {
    double* row = &sums[static_cast<std::size_t>(clusters.of_example[i]) * width];
    row[0] += 1.0;
    for (std::size_t m = 0; m < columns.size(); ++m) row[m + 1] += columns[m][i];
  }
  return sums;
}

/// How often each cluster is in resample b: rows are then read in their order, instead of one here and one there.
std::vector<std::uint32_t> times_drawn(std::int64_t num_clusters, std::uint64_t seed, std::int64_t b) {
  core::RandomStream draws(core::mix_key(seed, {core::key_of("bootstrap"), static_cast<std::uint64_t>(b)}));
  std::vector<std::uint32_t> times(static_cast<std::size_t>(num_clusters));
  for (std::int64_t d = 0; d < num_clusters; ++d) ++times[draws.next_below(static_cast<std::uint64_t>(num_clusters))];
  return times;
}

}  // namespace

void read_json(const core::Json& json, Interval& interval, const std::string& where) {
  const auto ends = core::from_json<std::vector<double>>(json, where);
  if (ends.size() != 2) core::user_error("{}: an interval is [low, high]", where);
  interval = {ends[0], ends[1]};
}

Interval wilson_interval(double successes, std::int64_t trials) {
  const auto n = static_cast<double>(trials);
  core::require(trials > 0 && successes >= 0 && successes <= n * (1 + 1e-12), "a share needs 0 <= successes <= trials");
  const double p = std::min(successes / n, 1.0);
  const double z2 = kNormalQuantile * kNormalQuantile;
  const double center = (p + z2 / (2 * n)) / (1 + z2 / n);
  const double half = kNormalQuantile / (1 + z2 / n) * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n));
  return {std::max(0.0, center - half), std::min(1.0, center + half)};
}

Clusters clusters_of(std::span<const std::optional<std::uint64_t>> users) {
  Clusters clusters;
  std::unordered_map<std::uint64_t, std::int64_t> index_of_user;
  for (const auto& user : users) {
    std::int64_t index = clusters.count;
    if (user) index = index_of_user.try_emplace(*user, clusters.count).first->second;
    clusters.of_example.push_back(index);
    clusters.count += index == clusters.count;
  }
  clusters.num_users = std::ssize(index_of_user);
  return clusters;
}

std::vector<Interval> bootstrap_intervals(const std::vector<std::vector<double>>& columns, const Clusters& clusters,
                                          std::int64_t resamples, std::uint64_t seed) {
  core::require(resamples >= 1000, "the bootstrap needs at least 1000 resamples");
  core::require(clusters.count > 0, "the bootstrap needs examples");
  for (const auto& column : columns)
    core::require(column.size() == clusters.of_example.size(), "the bootstrap needs one value an example");
  const std::vector<double> sums = cluster_sums(columns, clusters);
  const std::size_t width = columns.size() + 1;
  std::vector<std::vector<double>> means(columns.size(), std::vector<double>(static_cast<std::size_t>(resamples)));
  at::parallel_for(0, resamples, /*grain_size=*/64, [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> total(width);
    for (std::int64_t b = begin; b < end; ++b) {
      const std::vector<std::uint32_t> times = times_drawn(clusters.count, seed, b);
      std::fill(total.begin(), total.end(), 0.0);
      for (std::size_t c = 0; c < times.size(); ++c) {
        if (times[c] == 0) continue;
        const double* row = &sums[c * width];
        for (std::size_t m = 0; m < width; ++m) total[m] += times[c] * row[m];
      }
      for (std::size_t m = 0; m < columns.size(); ++m) means[m][static_cast<std::size_t>(b)] = total[m + 1] / total[0];
    }
  });
  std::vector<Interval> intervals;
  for (auto& column : means) {
    std::sort(column.begin(), column.end());
    intervals.push_back({quantile_of_sorted(column, kTail), quantile_of_sorted(column, 1 - kTail)});
  }
  return intervals;
}

}  // namespace allreco::eval
