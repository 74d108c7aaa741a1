#include "eval/intervals.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/random.h"

namespace allreco::eval {
namespace {

/// Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3, four digits.
TEST(Wilson, PublishedValues) {
  struct Case {
    double successes;
    std::int64_t trials;
    double low, high;
  };
  for (const Case& c : {Case{81, 263, 0.2553, 0.3662}, Case{15, 148, 0.0624, 0.1605}, Case{0, 20, 0.0, 0.1611},
                        Case{1, 29, 0.0061, 0.1718}}) {
    const Interval interval = wilson_interval(c.successes, c.trials);
    EXPECT_NEAR(interval.low, c.low, 0.5e-4) << c.successes << "/" << c.trials;
    EXPECT_NEAR(interval.high, c.high, 0.5e-4) << c.successes << "/" << c.trials;
  }
  const Interval all = wilson_interval(20, 20);  // the mirror of 0/20
  EXPECT_NEAR(all.low, 1 - 0.1611, 0.5e-4);
  EXPECT_DOUBLE_EQ(all.high, 1.0);
  EXPECT_THROW(wilson_interval(3, 2), core::Fault);
  EXPECT_THROW(wilson_interval(0, 0), core::Fault);
}

TEST(Bootstrap, UsersAreResampledWhole) {
  const std::vector<std::optional<std::uint64_t>> users{7, 9, 7, std::nullopt, 9, std::nullopt};
  const Clusters clusters = clusters_of(users);
  EXPECT_EQ(clusters.count, 4);  // two users, and two examples that each stand alone
  EXPECT_EQ(clusters.of_example, (std::vector<std::int64_t>{0, 1, 0, 2, 1, 3}));
}

/// The definition, written out: draw users, copy their examples, take the mean, sort, interpolate.
Interval naive_bootstrap(const std::vector<double>& values, const Clusters& clusters, std::int64_t resamples,
                         std::uint64_t seed) {
  std::vector<double> means;
  for (std::int64_t b = 0; b < resamples; ++b) {
    const std::uint64_t key = core::mix_key(seed, {core::key_of("bootstrap"), static_cast<std::uint64_t>(b)});
    std::vector<double> resample;
    core::for_each_below(key, static_cast<std::uint32_t>(clusters.count), clusters.count, [&](std::uint32_t user) {
      for (std::size_t i = 0; i < values.size(); ++i)
        if (clusters.of_example[i] == user) resample.push_back(values[i]);
    });
    double sum = 0;
    for (double v : resample) sum += v;
    means.push_back(sum / static_cast<double>(resample.size()));
  }
  std::sort(means.begin(), means.end());
  const auto quantile = [&](double q) {
    const double place = q * static_cast<double>(means.size() - 1);
    const double below = std::floor(place);
    return (1 - (place - below)) * means[static_cast<std::size_t>(below)] +
           (place - below) * means[static_cast<std::size_t>(std::ceil(place))];
  };
  return {quantile(0.025), quantile(0.975)};
}

TEST(Bootstrap, AgreesWithTheDefinitionAndDependsOnTheSeedOnly) {
  core::RandomStream stream(3);
  std::vector<std::optional<std::uint64_t>> users;
  std::vector<std::vector<double>> columns(2);
  for (int i = 0; i < 120; ++i) {
    users.push_back(stream.next_below(40));
    columns[0].push_back(stream.next_below(2) == 0 ? 1.0 : 0.0);
    columns[1].push_back(stream.next_normal());
  }
  const Clusters clusters = clusters_of(users);
  const auto intervals = bootstrap_intervals(columns, clusters, 1000, 5);
  for (std::size_t m = 0; m < columns.size(); ++m) {
    const Interval naive = naive_bootstrap(columns[m], clusters, 1000, 5);
    EXPECT_NEAR(intervals[m].low, naive.low, 1e-12);  // sums of 120 doubles of size 1, in another order
    EXPECT_NEAR(intervals[m].high, naive.high, 1e-12);
  }
  const auto again = bootstrap_intervals({columns[1]}, clusters, 1000, 5);  // other columns beside it change nothing
  EXPECT_EQ(again[0].low, intervals[1].low);
  EXPECT_EQ(again[0].high, intervals[1].high);
  EXPECT_NE(bootstrap_intervals({columns[1]}, clusters, 1000, 6)[0].low, intervals[1].low);
  EXPECT_THROW(bootstrap_intervals(columns, clusters, 999, 5), core::Fault);
}

/// 200 samples from a known population in which examples of a user resemble each other. 95 % intervals from 60 users
/// cover slightly less than 95 %; of 200 at 0.94 the standard deviation is 0.017, so the bounds lie 3 of them away.
/// Taking the examples as independent must cover clearly less.
TEST(Bootstrap, CoversTheTruthAsOftenAsItSays) {
  constexpr int kSamples = 200;
  int covered = 0, covered_without_users = 0;
  for (int s = 0; s < kSamples; ++s) {
    core::RandomStream stream(core::mix_key(11, {static_cast<std::uint64_t>(s)}));
    std::vector<std::optional<std::uint64_t>> users;
    std::vector<double> values;
    for (std::uint64_t user = 0; user < 60; ++user) {
      const double taste = 0.1 + 0.8 * stream.next_uniform();  // P(right) of this user; its mean is 0.5
      for (int i = 0; i < 8; ++i) {
        users.push_back(user);
        values.push_back(stream.next_uniform() < taste ? 1.0 : 0.0);
      }
    }
    const auto covers = [](const Interval& interval) { return interval.low <= 0.5 && 0.5 <= interval.high; };
    covered += covers(bootstrap_intervals({values}, clusters_of(users), 1000, 1)[0]);
    covered_without_users +=
        covers(wilson_interval(static_cast<double>(std::count(values.begin(), values.end(), 1.0)), 480));
  }
  EXPECT_GE(covered, kSamples * 0.89);
  EXPECT_LE(covered, kSamples * 0.99);
  EXPECT_LT(covered_without_users, covered - 10);
}

/// A rule of thumb: n = 4533 users with one example each, p = 0.15, gives plus or minus 1.0 points.
TEST(Bootstrap, HalfWidthOfAPlainShare) {
  std::vector<std::optional<std::uint64_t>> users;
  std::vector<double> values;
  for (std::uint64_t i = 0; i < 4533; ++i) {
    users.push_back(i);
    values.push_back(i < 680 ? 1.0 : 0.0);
  }
  const Interval bootstrap = bootstrap_intervals({values}, clusters_of(users), 1000, 1)[0];
  const Interval wilson = wilson_interval(680, 4533);
  const double half_width = 1.96 * std::sqrt(0.15 * 0.85 / 4533);  // 0.0104
  // A 2.5 % quantile of 1000 draws has a standard error of about sqrt(q (1-q) / n) / density = 0.084 sigma: 4 % of the
  // half-width; allow 3 of them.
  EXPECT_NEAR((bootstrap.high - bootstrap.low) / 2, half_width, 0.13 * half_width);
  EXPECT_NEAR((wilson.high - wilson.low) / 2, half_width, 0.01 * half_width);
}

}  // namespace
}  // namespace allreco::eval
