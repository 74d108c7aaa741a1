#include "data/prepare/splits.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "core/check.h"
#include "core/random.h"

namespace allreco::data {

namespace {

/// The start of the newest part of times[0, end) (sorted) whose size is closest to `wanted`, at a change of time,
/// leaving at least `min_earlier_times` different times before it. Of two equally close, the smaller part. `end` when
/// there is none.
size_t closest_start(const std::vector<std::int64_t>& times, size_t end, double wanted, int min_earlier_times) {
  std::vector<size_t> starts;  // of each different time
  for (size_t i = 0; i < end; ++i) {
    if (i == 0 || times[i] != times[i - 1]) starts.push_back(i);
  }
  size_t best = end;
  for (size_t k = starts.size(); k-- > static_cast<size_t>(min_earlier_times);) {
    const auto distance = [&](size_t start) { return std::abs(static_cast<double>(end - start) - wanted); };
    if (best == end || distance(starts[k]) < distance(best)) best = starts[k];
  }
  return best;
}

std::int64_t size_of_share(std::int64_t n, double share) {
  return share > 0 ? std::max<std::int64_t>(1, std::llround(static_cast<double>(n) * share)) : 0;
}

}  // namespace

std::string_view name_of(Split split) {
  constexpr std::array<std::string_view, 3> names = {"train", "validation", "test"};
  return names[static_cast<size_t>(split)];
}

std::optional<Split> split_of_name(std::string_view name) {
  constexpr std::array<std::string_view, 5> validation_names = {"validation", "valid", "val", "dev", "eval"};
  if (name == "train") return Split::train;
  if (name == "test") return Split::test;
  const bool found = std::find(validation_names.begin(), validation_names.end(), name) != validation_names.end();
  return found ? std::optional(Split::validation) : std::nullopt;
}

Split TimeBoundaries::split_of(std::int64_t timestamp) const {
  if (timestamp >= test_start) return Split::test;
  return timestamp >= validation_start ? Split::validation : Split::train;
}

TimeBoundaries time_boundaries(std::vector<std::int64_t> target_times, double validation_share, double test_share) {
  std::sort(target_times.begin(), target_times.end());
  const size_t n = target_times.size();
  const double total = static_cast<double>(n);
  TimeBoundaries boundaries;
  size_t end = n;
  const auto cut = [&](double share, int min_earlier_times) {
    const size_t start = closest_start(target_times, end, share * total, min_earlier_times);
    if (start == end) {
      core::user_error(
          "a split by time needs a different time for each of train, validation and test, but the {} examples have too "
          "few: "
          "use --split random, or set validation_share or test_share to 0",
          n);
    }
    end = start;
    return target_times[start];
  };
  if (test_share > 0) boundaries.test_start = cut(test_share, validation_share > 0 ? 2 : 1);
  boundaries.validation_start = validation_share > 0 ? cut(validation_share, 1) : boundaries.test_start;
  return boundaries;
}

std::vector<Split> random_split(std::int64_t n, double validation_share, double test_share, std::uint64_t seed) {
  const std::int64_t num_test = size_of_share(n, test_share);
  const std::int64_t num_validation = size_of_share(n, validation_share);
  if (num_test + num_validation >= n) {
    core::user_error(
        "{} examples are too few for a random split with validation_share = {} and test_share = {}: lower the shares",
        n, validation_share, test_share);
  }
  std::vector<std::int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  core::RandomStream stream(core::mix_key(seed, {core::key_of("split")}));
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[stream.next_below(i)]);
  std::vector<Split> splits(static_cast<size_t>(n), Split::train);
  for (std::int64_t i = 0; i < num_test + num_validation; ++i) {
    splits[static_cast<size_t>(order[static_cast<size_t>(i)])] = i < num_test ? Split::test : Split::validation;
  }
  return splits;
}

}  // namespace allreco::data
