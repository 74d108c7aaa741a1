// Splits by time of many ranks, counted by day and second, beside those of all times in one sorted list.
#include "data/prepare/target_times.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "core/random.h"
#include "data/prepare/sorted_times.h"
#include "data/store/dataset_samples.h"
#include "support/message_of.h"

namespace allreco::data {

namespace {

std::vector<std::int64_t> random_times(core::RandomStream& stream) {
  const std::uint64_t num_days = 1 + stream.next_below(8), per_day = 1 + stream.next_below(30);
  std::vector<std::int64_t> times(10 + stream.next_below(300));
  for (std::int64_t& time : times)
    time = 86400 * (static_cast<std::int64_t>(stream.next_below(num_days)) - 3) +
           static_cast<std::int64_t>(stream.next_below(per_day) * 2000);
  return times;
}

}  // namespace

TEST(TargetTimesTest, AreThoseOfOneSortedList) {
  core::RandomStream stream(3);
  int num_splits = 0;
  for (int i = 0; i < 2000; ++i) {
    const std::vector<std::int64_t> times = random_times(stream);
    const double validation = static_cast<double>(stream.next_below(4)) * 0.1;
    const double test = static_cast<double>(stream.next_below(4)) * 0.15;
    LoneRank alone;
    const auto for_each = [&](const std::function<void(std::int64_t)>& visit) {
      for (const std::int64_t time : times) visit(time);
    };
    TimeBoundaries expected, found;
    const std::string refused = support::message_of([&] { expected = boundaries_of(times, validation, test); });
    const std::string also = support::message_of([&] { found = time_boundaries(alone, for_each, validation, test); });
    ASSERT_EQ(refused, also);
    ASSERT_EQ(found.test_start, expected.test_start);
    ASSERT_EQ(found.validation_start, expected.validation_start);
    num_splits += refused.empty();
  }
  EXPECT_GT(num_splits, 1000);
}

TEST(SplitTimeTest, TakesSecondsAndDays) {
  EXPECT_EQ(parse_split_time("1435622400").test_start, 1435622400);
  EXPECT_EQ(parse_split_time("2015-06-30").test_start, 1435622400);
  EXPECT_EQ(parse_split_time("2015-06-30").validation_start, 1435622400);
  const TimeBoundaries both = parse_split_time("2015-06-30,1500000000");
  EXPECT_EQ(both.validation_start, 1435622400);
  EXPECT_EQ(both.test_start, 1500000000);
  for (const char* bad : {"", "x", "2015-06", "2015-02-30", "2015-06-30,", ",5", "5,4", "5,5", "1,2,3", "2015-06-30x"})
    EXPECT_TRUE(contains(support::message_of([&] { parse_split_time(bad); }), "split_time = ")) << bad;
}

}  // namespace allreco::data
