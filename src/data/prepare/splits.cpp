#include "data/prepare/splits.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <numeric>
#include <utility>

#include "core/check.h"
#include "core/random.h"

namespace allreco::data {

namespace {

/// Where the newest part of histogram[0, end) begins whose size is closest to `wanted`, leaving at least
/// `min_earlier_times` times before it. Of two equally close, the smaller part. `end` when there is none.
size_t closest_start(const std::vector<TimeCount>& histogram, size_t end, double wanted, size_t min_earlier_times) {
  size_t best = end;
  double best_distance = 0;
  std::int64_t size = 0;
  for (size_t k = end; k-- > min_earlier_times;) {
    size += histogram[k].count;
    const double distance = std::abs(static_cast<double>(size) - wanted);
    if (best != end && distance >= best_distance) continue;
    best = k;
    best_distance = distance;
  }
  return best;
}

/// Seconds since 1970 of `1435622400` or `2015-06-30`.
std::optional<std::int64_t> parse_split_start(std::string_view text) {
  std::array<int, 3> numbers{};
  size_t count = 0;
  const char* at = text.data();
  const char* const last = text.data() + text.size();
  std::int64_t seconds = 0;
  if (const auto [end, error] = std::from_chars(at, last, seconds); error == std::errc{} && end == last) return seconds;
  for (; count < numbers.size(); ++count) {
    const auto [end, error] = std::from_chars(at, last, numbers[count]);
    if (error != std::errc{} || numbers[count] < 0) return std::nullopt;
    const bool is_last = count + 1 == numbers.size();
    if (is_last != (end == last) || (!is_last && *end != '-')) return std::nullopt;
    at = end + 1;
  }
  const std::chrono::year_month_day day{std::chrono::year(numbers[0]),
                                        std::chrono::month(static_cast<unsigned>(numbers[1])),
                                        std::chrono::day(static_cast<unsigned>(numbers[2]))};
  if (!day.ok()) return std::nullopt;
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::sys_days(day).time_since_epoch()).count();
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

std::vector<Split> TimeBoundaries::splits() const {
  std::vector<Split> splits{Split::train};
  if (validation_start < test_start) splits.push_back(Split::validation);
  if (test_start < std::numeric_limits<std::int64_t>::max()) splits.push_back(Split::test);
  return splits;
}

void TimeBoundaries::describe(core::Json& json) const {
  for (const Split split : splits()) {
    if (split == Split::validation) json["validation_start"] = validation_start;
    if (split == Split::test) json["test_start"] = test_start;
  }
}

TimeBoundaries time_boundaries(const std::vector<TimeCount>& histogram, double validation_share, double test_share) {
  std::int64_t n = 0;
  for (const TimeCount& entry : histogram) n += entry.count;
  TimeBoundaries boundaries;
  size_t end = histogram.size();
  const auto cut = [&](double share, size_t min_earlier_times) {
    const size_t start = closest_start(histogram, end, share * static_cast<double>(n), min_earlier_times);
    if (start == end) {
      core::user_error(
          "a split by time needs a different time for each of train, validation and test, but the {} examples have too "
          "few: "
          "use --split random, or set validation_share or test_share to 0",
          n);
    }
    end = start;
    return histogram[start].time;
  };
  if (test_share > 0) boundaries.test_start = cut(test_share, validation_share > 0 ? 2 : 1);
  boundaries.validation_start = validation_share > 0 ? cut(validation_share, 1) : boundaries.test_start;
  return boundaries;
}

TimeBoundaries parse_split_time(const std::string& text) {
  const size_t comma = text.find(',');
  const auto first = parse_split_start(std::string_view(text).substr(0, comma));
  const auto second = comma == std::string::npos ? first : parse_split_start(std::string_view(text).substr(comma + 1));
  if (!first || !second)
    core::user_error(
        "split_time = {}: one or two times expected, in seconds since 1970 or as a day such as 2015-06-30: where "
        "(validation and) test begin",
        text);
  if (comma != std::string::npos && *first >= *second)
    core::user_error("split_time = {}: validation must begin before test", text);
  return {*first, *second};
}

Split split_of_user(std::uint64_t user, double validation_share, double test_share, std::uint64_t seed) {
  core::RandomStream stream(core::mix_key(seed, {core::key_of("split by user"), user}));
  const double place = stream.next_uniform();
  if (place < test_share) return Split::test;
  return place < test_share + validation_share ? Split::validation : Split::train;
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
