#include "model/ops/cpu/key_clusters.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace allreco::model::ops::cpu {
namespace {

struct Interval {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::size_t span = 0;
};

std::vector<Interval> sorted_intervals(const std::vector<AttentionSpan>& spans) {
  std::vector<Interval> intervals;
  for (std::size_t s = 0; s < spans.size(); ++s) {
    for (const KeyRange& range : spans[s].keys) {
      if (spans[s].q_length > 0 && range.length > 0) {
        intervals.push_back({range.begin, range.begin + range.length, s});
      }
    }
  }
  std::sort(intervals.begin(), intervals.end(), [](const Interval& a, const Interval& b) {
    return std::tie(a.begin, a.end, a.span) < std::tie(b.begin, b.end, b.span);
  });
  return intervals;
}

/// Disjoint sets of spans; the representative is the smallest member.
class SpanSets {
 public:
  explicit SpanSets(std::size_t size) : parent_(size) { std::iota(parent_.begin(), parent_.end(), std::size_t{0}); }
  std::size_t find(std::size_t s) {
    while (parent_[s] != s) {
      s = parent_[s] = parent_[parent_[s]];
    }
    return s;
  }
  void join(std::size_t a, std::size_t b) {
    a = find(a), b = find(b);
    parent_[std::max(a, b)] = std::min(a, b);
  }

 private:
  std::vector<std::size_t> parent_;
};

}  // namespace

std::int64_t KeyCluster::packed_row(std::int64_t key) const {
  const auto after = std::upper_bound(runs.begin(), runs.end(), key,
                                      [](std::int64_t row, const KeyRun& run) { return row < run.begin; });
  // A key before the first run can only be that of an empty range.
  return after == runs.begin() ? 0 : std::prev(after)->packed_begin + key - std::prev(after)->begin;
}

std::vector<KeyCluster> key_clusters(const std::vector<AttentionSpan>& spans) {
  const std::vector<Interval> intervals = sorted_intervals(spans);
  SpanSets sets(spans.size());
  for (std::size_t i = 1, furthest = 0; i < intervals.size(); ++i) {
    if (intervals[i].begin < intervals[furthest].end) {
      sets.join(intervals[i].span, intervals[furthest].span);
    }
    furthest = intervals[i].end > intervals[furthest].end ? i : furthest;
  }
  std::vector<KeyCluster> clusters;
  std::vector<std::size_t> cluster_of(spans.size());
  for (std::size_t s = 0; s < spans.size(); ++s) {
    if (spans[s].q_length == 0) {
      continue;
    }
    if (sets.find(s) == s) {
      cluster_of[s] = clusters.size();
      clusters.emplace_back();
    }
    clusters[cluster_of[sets.find(s)]].spans.push_back(s);
  }
  for (const Interval& interval : intervals) {
    KeyCluster& cluster = clusters[cluster_of[sets.find(interval.span)]];
    if (cluster.runs.empty() || interval.begin >= cluster.runs.back().begin + cluster.runs.back().length) {
      cluster.runs.push_back({interval.begin, 0, cluster.num_keys});
    }
    KeyRun& run = cluster.runs.back();
    const std::int64_t length = std::max(run.length, interval.end - run.begin);
    cluster.num_keys += length - run.length;
    run.length = length;
  }
  return clusters;
}

}  // namespace allreco::model::ops::cpu
