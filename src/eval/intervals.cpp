#include "eval/intervals.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "core/check.h"
#include "core/parallel.h"
#include "core/random.h"

namespace allreco::eval {

namespace {

constexpr double kTail = 0.025;                  // on each side of 95 %
constexpr double kNormalQuantile = 1.959963985;  // of 1 - kTail
constexpr std::int64_t kResamplesAtOnce = 16;    // that share a tile
constexpr std::size_t kTileBytes = 1 << 18;      // of rows
constexpr std::size_t kLanes = 8;                // columns that are summed at once

/// The q-quantile with linear interpolation between order statistics (type 7 of Hyndman & Fan 1996, numpy's default).
double quantile_of_sorted(const std::vector<double>& sorted, double q) {
  const double place = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

/// Per cluster its number of examples, then the sum of each column, then zeros: [clusters, width], row-major, so that a
/// draw reads one place.
std::vector<double> cluster_sums(const std::vector<std::vector<double>>& columns, const Clusters& clusters,
                                 std::size_t width) {
  std::vector<double> sums(static_cast<std::size_t>(clusters.count) * width, 0.0);
  for (std::size_t i = 0; i < clusters.of_example.size(); ++i) {
    double* row = &sums[static_cast<std::size_t>(clusters.of_example[i]) * width];
    row[0] += 1.0;
    for (std::size_t m = 0; m < columns.size(); ++m) row[m + 1] += columns[m][i];
  }
  return sums;
}

/// How often each cluster is in resample b: rows are then read in their order, instead of one here and one there.
void draw_times(std::uint64_t seed, std::int64_t b, std::span<std::uint16_t> times) {
  const std::uint64_t key = core::mix_key(seed, {core::key_of("bootstrap"), static_cast<std::uint64_t>(b)});
  std::fill(times.begin(), times.end(), std::uint16_t{0});
  core::for_each_below(key, static_cast<std::uint32_t>(times.size()), std::ssize(times),
                       [&](std::uint32_t cluster) { ++times[cluster]; });
}

/// total[0..kLanes) += times[c] * row c, in registers. Without a branch: a third of the rows are not drawn, at random.
void add_lanes(const double* rows, std::size_t width, std::span<const std::uint16_t> times, double* total) {
  std::array<double, kLanes> sums;
  std::copy_n(total, kLanes, sums.begin());
  for (std::size_t c = 0; c < times.size(); ++c)
    for (std::size_t m = 0; m < kLanes; ++m) sums[m] += times[c] * rows[c * width + m];
  std::copy_n(sums.begin(), kLanes, total);
}

/// The sums of some resamples, [resamples, width]. A tile of rows stays in the cache while all of them use it.
std::vector<double> resampled_sums(const std::vector<double>& rows, std::size_t width, std::uint64_t seed,
                                   std::int64_t first, std::int64_t count) {
  const std::size_t num_rows = rows.size() / width;
  const std::size_t tile = std::max<std::size_t>(1, kTileBytes / (width * sizeof(double)));
  std::vector<std::uint16_t> times(static_cast<std::size_t>(count) * num_rows);
  const auto times_of = [&](std::int64_t b) {
    return std::span(times).subspan(static_cast<std::size_t>(b) * num_rows, num_rows);
  };
  for (std::int64_t b = 0; b < count; ++b) draw_times(seed, first + b, times_of(b));
  std::vector<double> totals(static_cast<std::size_t>(count) * width);
  for (std::size_t begin = 0; begin < num_rows; begin += tile) {
    const std::size_t end = std::min(begin + tile, num_rows);
    for (std::int64_t b = 0; b < count; ++b)
      for (std::size_t m = 0; m < width; m += kLanes)
        add_lanes(&rows[begin * width + m], width, times_of(b).subspan(begin, end - begin),
                  &totals[static_cast<std::size_t>(b) * width + m]);
  }
  return totals;
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
  core::require(clusters.count > 0 && clusters.count <= std::numeric_limits<std::uint32_t>::max(),
                "the bootstrap needs examples, of fewer than 2^32 users");
  for (const auto& column : columns)
    core::require(column.size() == clusters.of_example.size(), "the bootstrap needs one value an example");
  const std::size_t width = (columns.size() + kLanes) / kLanes * kLanes;  // of 1 + columns, rounded up
  const std::vector<double> sums = cluster_sums(columns, clusters, width);
  std::vector<std::vector<double>> means(columns.size(), std::vector<double>(static_cast<std::size_t>(resamples)));
  core::parallel_for(resamples, at::get_num_threads(), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t first = begin; first < end; first += kResamplesAtOnce) {
      const std::int64_t count = std::min(kResamplesAtOnce, end - first);
      const std::vector<double> totals = resampled_sums(sums, width, seed, first, count);
      for (std::int64_t b = 0; b < count; ++b) {
        const double* const total = &totals[static_cast<std::size_t>(b) * width];
        for (std::size_t m = 0; m < columns.size(); ++m)
          means[m][static_cast<std::size_t>(first + b)] = total[m + 1] / total[0];
      }
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
