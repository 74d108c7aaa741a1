#include "data/prepare/examples/matched_items.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace allreco::data {
namespace {

/// A long tail of popularity; lengths have nothing to do with it.
std::vector<MatchedItems::Traits> random_items(std::size_t count) {
  core::RandomStream stream(core::key_of("matched items"));
  std::vector<MatchedItems::Traits> items;
  for (std::size_t i = 0; i < count; ++i)
    items.push_back(
        {static_cast<std::int64_t>(300 / (1 + i / 3)), static_cast<std::int64_t>(5 + stream.next_below(90))});
  return items;
}

// Targets drawn by popularity among negatives drawn for them: were any place in the list's order of popularity, or of
// length, more often the target's than a quarter of the time, that would find it. 20,000 lists, so one standard error
// is 0.003 (0.0043 where ties share a place's credit at worst); five of them.
TEST(MatchedItems, TheTargetIsNowhereSpecialInItsList) {
  const auto items = random_items(2000);
  const MatchedItems matched(items);
  std::vector<std::uint32_t> by_popularity;
  for (std::uint32_t i = 0; i < items.size(); ++i)
    by_popularity.insert(by_popularity.end(), static_cast<std::size_t>(items[i].train_count), i);
  core::RandomStream stream(core::key_of("lists"));
  constexpr int kLists = 20'000;
  std::array<double, 4> place_by_count{}, place_by_length{};
  double distance = 0;
  for (int n = 0; n < kLists; ++n) {
    const std::uint32_t target = by_popularity[stream.next_below(by_popularity.size())];
    std::vector<std::uint32_t> list{target};
    ASSERT_TRUE(matched.draw(target, 3, stream, list, [&](std::uint32_t item) {
      return std::find(list.begin(), list.end(), item) == list.end();
    }));
    ASSERT_EQ(std::set(list.begin(), list.end()).size(), 4U);
    const auto count_place = [&](auto value, std::array<double, 4>& places) {
      const auto lower = std::count_if(list.begin(), list.end(), [&](auto i) { return value(i) < value(target); });
      const auto equal = std::count_if(list.begin(), list.end(), [&](auto i) { return value(i) == value(target); });
      for (auto place = lower; place < lower + equal; ++place)
        places[static_cast<std::size_t>(place)] += 1.0 / static_cast<double>(equal) / kLists;
    };
    count_place([&](std::uint32_t i) { return items[i].train_count; }, place_by_count);
    count_place([&](std::uint32_t i) { return items[i].length; }, place_by_length);
    for (int j = 1; j < 4; ++j)
      distance += std::abs(static_cast<double>(items[list[static_cast<std::size_t>(j)]].length - items[target].length));
  }
  for (std::size_t place = 0; place < 4; ++place) {
    EXPECT_NEAR(place_by_length[place], 0.25, 0.02) << place;
    EXPECT_NEAR(place_by_count[place], 0.25, 0.02) << place;
  }
  EXPECT_LT(distance / kLists / 3, 20);  // 30 between two items at random: 90 / 3
}

TEST(MatchedItems, WidensWhereACellHasTooFew) {
  const auto items = random_items(40);
  const MatchedItems matched(items);
  core::RandomStream stream(7);
  std::vector<std::uint32_t> list{0};
  const auto is_new = [&](std::uint32_t item) { return std::find(list.begin(), list.end(), item) == list.end(); };
  EXPECT_TRUE(matched.draw(0, 39, stream, list, is_new));
  EXPECT_EQ(std::set(list.begin(), list.end()).size(), 40U);
  list = {0};
  EXPECT_FALSE(matched.draw(0, 40, stream, list, is_new));
  EXPECT_EQ(list, std::vector<std::uint32_t>{0});
}

}  // namespace
}  // namespace allreco::data
