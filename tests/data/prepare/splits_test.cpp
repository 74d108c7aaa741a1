#include "data/prepare/splits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/random.h"
#include "data/prepare/sorted_times.h"
#include "data/store/dataset_samples.h"
#include "support/message_of.h"

namespace allreco::data {

namespace {

std::int64_t count_in(const std::vector<std::int64_t>& times, std::int64_t from, std::int64_t to) {
  return std::count_if(times.begin(), times.end(), [&](std::int64_t t) { return t >= from && t < to; });
}

/// The definition, by trying every time: among starts with enough different times before them, the one whose part is
/// closest to `wanted`.
std::int64_t naive_start(const std::vector<std::int64_t>& times, std::int64_t end, double wanted, size_t min_earlier) {
  const std::set<std::int64_t> different(times.begin(), times.end());
  std::int64_t best = end;
  double best_distance = 1e300;
  for (auto t = different.rbegin(); t != different.rend(); ++t) {
    if (*t >= end || count_in(times, *t, end) == 0) continue;
    const auto earlier = static_cast<size_t>(std::distance(different.begin(), different.find(*t)));
    const double distance = std::abs(static_cast<double>(count_in(times, *t, end)) - wanted);
    if (earlier >= min_earlier && distance < best_distance) {
      best = *t;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace

TEST(SplitsTest, TimeBoundariesAreTheClosestOfAll) {
  constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    core::RandomStream stream(seed);
    std::vector<std::int64_t> times(20 + stream.next_below(80));
    const std::uint64_t num_days = 4 + stream.next_below(30);  // many ties
    for (auto& t : times) t = 86400 * static_cast<std::int64_t>(stream.next_below(num_days));
    times[0] = 0;
    times[1] = 86400;
    times[2] = 2 * 86400;  // at least three days
    const double n = static_cast<double>(times.size());
    const TimeBoundaries b = boundaries_of(times, 0.1, 0.2);
    EXPECT_EQ(b.test_start, naive_start(times, never, 0.2 * n, 2));
    EXPECT_EQ(b.validation_start, naive_start(times, b.test_start, 0.1 * n, 1));
    for (std::int64_t t : times) {
      EXPECT_EQ(b.split_of(t) == Split::test, t >= b.test_start);
      EXPECT_EQ(b.split_of(t) == Split::train, t < b.validation_start);
    }
    EXPECT_GT(count_in(times, 0, b.validation_start), 0);
  }
}

TEST(SplitsTest, TimeBoundariesAtTheEdges) {
  const std::vector<std::int64_t> times = {1, 1, 1, 2, 2, 3};
  const TimeBoundaries no_validation = boundaries_of(times, 0, 0.01);
  EXPECT_EQ(no_validation.test_start, 3);  // a share above 0 is never empty
  EXPECT_EQ(no_validation.validation_start, 3);
  const TimeBoundaries all_train = boundaries_of(times, 0, 0);
  EXPECT_EQ(all_train.split_of(1'000'000), Split::train);
  EXPECT_EQ(boundaries_of(times, 0.4, 0.5).validation_start, 2);  // one time is left to train on
  EXPECT_TRUE(contains(support::message_of([] { boundaries_of({5, 5, 5}, 0, 0.1); }), "split random"));
  EXPECT_TRUE(contains(support::message_of([] { boundaries_of({5, 6}, 0.1, 0.1); }), "different time"));
}

TEST(SplitsTest, RandomSplitHasExactSharesAndASeed) {
  const auto splits = random_split(1000, 0.1, 0.25, 7);
  EXPECT_EQ(std::count(splits.begin(), splits.end(), Split::validation), 100);
  EXPECT_EQ(std::count(splits.begin(), splits.end(), Split::test), 250);
  EXPECT_EQ(splits, random_split(1000, 0.1, 0.25, 7));
  EXPECT_NE(splits, random_split(1000, 0.1, 0.25, 8));
  const auto few = random_split(5, 0.01, 0.01, 7);
  EXPECT_EQ(std::count(few.begin(), few.end(), Split::test), 1);
  EXPECT_EQ(std::count(few.begin(), few.end(), Split::validation), 1);
  EXPECT_TRUE(contains(support::message_of([] { random_split(2, 0.1, 0.1, 7); }), "too few"));
}

TEST(SplitsTest, NamesOfSplits) {
  for (Split split : kSplits) EXPECT_EQ(split_of_name(name_of(split)), split);
  EXPECT_EQ(split_of_name("eval"), Split::validation);
  EXPECT_EQ(split_of_name("Train"), std::nullopt);
}

}  // namespace allreco::data
