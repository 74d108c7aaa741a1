#include "data/prepare/examples/negative_sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <tuple>

#include "core/random.h"
#include "data/prepare/made_up_shoppers.h"

namespace allreco::data {

namespace {

HistoryExample example_of(std::uint64_t user, std::int64_t timestamp, std::uint32_t target) {
  HistoryExample example;
  example.user = user;
  example.timestamp = timestamp;
  example.target = target;
  return example;
}

/// Pearson's statistic of counts against expected counts.
double chi_square(const std::vector<std::int64_t>& counts, const std::vector<double>& expected) {
  double sum = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const double difference = static_cast<double>(counts[i]) - expected[i];
    sum += difference * difference / expected[i];
  }
  return sum;
}

/// A bound that a right sampler exceeds with probability 1e-6 or less: for k degrees of freedom, Laurent and Massart's
/// P(X > k + 2 sqrt(k x) + 2 x) <= exp(-x) at x = 14. The seeds are fixed, so the tests give the same result each time.
double chi_square_bound(size_t degrees) {
  const double k = static_cast<double>(degrees);
  return k + 2 * std::sqrt(k * 14) + 28;
}

}  // namespace

TEST(CandidatesTest, HoldTheTargetOnceAndNothingBought) {
  const auto catalogue = catalogue_of(60, true);
  std::vector<std::int64_t> counts(60, 1);
  counts[50] = 0;  // not in the train period
  counts[51] = 0;
  const NegativeSampler sampler(catalogue, {counts}, 42);
  for (std::uint64_t user = 0; user < 500; ++user) {
    const Shopper shopper = shopper_of(user, {3, 8, 20, 31, 50}, catalogue, {25});
    for (const std::uint32_t target : {31u, 50u}) {  // an unseen item may be a target, never a negative
      HistoryExample example = example_of(user, 100, target);
      ASSERT_TRUE(sampler.draw(example, shopper, 6));
      ASSERT_EQ(example.candidates.size(), 6u);
      EXPECT_EQ(example.candidates[example.gold], target);
      std::set<std::string> titles;
      for (std::uint32_t item : example.candidates) {
        titles.insert(catalogue[item].title);
        if (item == target) continue;
        EXPECT_FALSE(
            std::binary_search(shopper.bought_titles.begin(), shopper.bought_titles.end(), catalogue[item].title_id));
        EXPECT_NE(counts[item], 0);
      }
      EXPECT_EQ(titles.size(), 6u);
    }
  }
}

/// Items that are newer than the train period are drawn from their first purchase on, and as often as the others; the
/// lists of times before are those without them.
TEST(CandidatesTest, NewerItemsAreNegativesFromTheirFirstPurchaseOn) {
  constexpr std::uint32_t num_items = 30;
  const auto catalogue = catalogue_of(num_items, false);
  std::vector<std::int64_t> counts(num_items, 1), first_times(num_items, 0);
  for (const std::uint32_t newer : {4u, 17u, 25u}) {
    counts[newer] = 0;
    first_times[newer] = 100 + newer;
  }
  const NegativeSampler sampler(catalogue, {counts, first_times}, 1), of_train(catalogue, {counts}, 1);
  const Shopper shopper = shopper_of(1, {0, 1, 2, 3}, catalogue);
  for (const std::int64_t time : {99, 104, 117, 200}) {
    std::vector<std::int64_t> drawn(num_items);
    for (std::uint64_t user = 0; user < 20'000; ++user) {
      HistoryExample example = example_of(user, time, 3), old = example;
      ASSERT_TRUE(sampler.draw(example, shopper, 4));
      ASSERT_TRUE(of_train.draw(old, shopper, 4));
      if (time == 99) {
        ASSERT_EQ(example.candidates, old.candidates);
      }
      for (const std::uint32_t item : example.candidates) ++drawn[item];
    }
    std::vector<std::int64_t> of_possible;
    for (std::uint32_t item = 4; item < num_items; ++item) {
      if (counts[item] > 0 || first_times[item] <= time)
        of_possible.push_back(drawn[item]);
      else
        EXPECT_EQ(drawn[item], 0) << item << " at " << time;
    }
    const auto expected = 60'000.0 / static_cast<double>(of_possible.size());
    EXPECT_LT(chi_square(of_possible, std::vector<double>(of_possible.size(), expected)),
              chi_square_bound(of_possible.size() - 1));
  }
}

TEST(CandidatesTest, ArePureFunctionsOfSeedUserTimeAndTarget) {
  const auto catalogue = catalogue_of(200, false);
  const std::vector<std::int64_t> counts(200, 1);
  const NegativeSampler sampler(catalogue, {counts}, 42);
  const NegativeSampler again(catalogue, {counts}, 42);
  const NegativeSampler other(catalogue, {counts}, 43);
  const Shopper shopper = shopper_of(7, {1, 2, 3, 4}, catalogue);
  const auto drawn = [&](const NegativeSampler& s, HistoryExample example) {
    EXPECT_TRUE(s.draw(example, shopper, 10));
    return example.candidates;
  };
  const auto base = drawn(sampler, example_of(7, 100, 4));
  drawn(sampler, example_of(7, 200, 3));  // other draws in between change nothing
  EXPECT_EQ(drawn(sampler, example_of(7, 100, 4)), base);
  EXPECT_EQ(drawn(again, example_of(7, 100, 4)), base);
  EXPECT_NE(drawn(other, example_of(7, 100, 4)), base);
  EXPECT_NE(drawn(sampler, example_of(8, 100, 4)), base);
  EXPECT_NE(drawn(sampler, example_of(7, 101, 4)), base);
  const auto negatives_of = [](std::vector<std::uint32_t> candidates, std::uint32_t target) {
    std::erase(candidates, target);
    return candidates;
  };
  EXPECT_NE(negatives_of(drawn(sampler, example_of(7, 100, 3)), 3), negatives_of(base, 4));
}

TEST(CandidatesTest, PositionsAndUniformNegativesAreUniform) {
  constexpr std::uint32_t num_items = 40;
  constexpr std::int64_t num_draws = 40'000;
  const auto catalogue = catalogue_of(num_items, false);
  const NegativeSampler sampler(catalogue, {std::vector<std::int64_t>(num_items, 1)}, 1);
  const Shopper shopper = shopper_of(1, {0, 1, 2, 3}, catalogue);
  std::vector<std::int64_t> positions(4);
  std::vector<std::int64_t> drawn(num_items - 4);
  for (std::int64_t i = 0; i < num_draws; ++i) {
    HistoryExample example = example_of(1, i, 3);
    ASSERT_TRUE(sampler.draw(example, shopper, 4));
    ++positions[example.gold];
    for (std::uint32_t item : example.candidates) {
      if (item != 3) ++drawn[item - 4];
    }
  }
  EXPECT_LT(chi_square(positions, std::vector<double>(4, num_draws / 4.0)), chi_square_bound(3));
  EXPECT_LT(chi_square(drawn, std::vector<double>(num_items - 4, num_draws * 3.0 / (num_items - 4))),
            chi_square_bound(35));
}

TEST(CandidatesTest, PopularityDrawsInProportionToCounts) {
  constexpr std::int64_t num_draws = 40'000;
  const auto catalogue = catalogue_of(12, false);
  std::vector<std::int64_t> counts(12);
  std::iota(counts.begin(), counts.end(), 1);
  const NegativeSampler sampler(catalogue, {.train_counts = counts, .by_popularity = true}, 1);
  const Shopper shopper = shopper_of(1, {0, 11}, catalogue);
  std::vector<std::int64_t> drawn(10);
  for (std::int64_t i = 0; i < num_draws; ++i) {
    HistoryExample example = example_of(1, i, 11);
    ASSERT_TRUE(sampler.draw(example, shopper, 2));
    ++drawn[example.candidates[1 - example.gold] - 1];
  }
  std::vector<double> expected;  // items 1 to 10 have counts 2 to 11, 65 together
  for (int count = 2; count <= 11; ++count) expected.push_back(static_cast<double>(num_draws) * count / 65.0);
  EXPECT_LT(chi_square(drawn, expected), chi_square_bound(9));
}

/// Every negative is of the target's category as long as there are enough; then all of these, and others.
TEST(CandidatesTest, OfTheCategoryAsFarAsItHasThem) {
  auto catalogue = catalogue_of(60, true);  // 30 titles of two items
  for (std::uint32_t item = 0; item < 60; ++item) catalogue[item].details.category = item < 12 ? "small" : "large";
  std::vector<std::int64_t> counts(60, 1), first_times(60, 0);
  counts[10] = counts[11] = 0;
  first_times[10] = first_times[11] = 1000;  // so before that "small" has five titles
  const NegativeSampler sampler(catalogue, {.train_counts = counts, .first_times = first_times, .of_category = true},
                                3);
  const Shopper shopper = shopper_of(1, {0, 2, 30}, catalogue);  // two titles of "small"
  for (const auto& [target, time, of_category] :
       {std::tuple(0U, std::int64_t{5}, 3U), {0U, std::int64_t{1000}, 4U}, {30U, std::int64_t{5}, 5U}}) {
    std::vector<std::int64_t> drawn(60);
    for (std::uint64_t user = 0; user < 2000; ++user) {
      HistoryExample example = example_of(user, time, target);
      ASSERT_TRUE(sampler.draw(example, shopper, 6));
      EXPECT_EQ(example.has_other_categories, of_category < 5);
      size_t found = 0;
      for (const std::uint32_t item : example.candidates) {
        ++drawn[item];
        found += item != target && catalogue[item].details.category == catalogue[target].details.category;
      }
      EXPECT_EQ(found, of_category);
    }
    for (std::uint32_t item = 0; item < 60; ++item) {
      const bool is_bought = item < 4 || item == 30 || item == 31;
      const bool is_of_category = catalogue[item].details.category == catalogue[target].details.category;
      const bool is_free = !is_bought && (first_times[item] <= time || counts[item] > 0);
      EXPECT_EQ(drawn[item] > 0, item == target || (is_free && (is_of_category || of_category < 5))) << item;
    }
  }
}

TEST(CandidatesTest, TooFewItemsAreSaidAndJustEnoughAreFound) {
  const auto catalogue = catalogue_of(10, true);  // five titles
  const NegativeSampler sampler(catalogue, {std::vector<std::int64_t>(10, 1)}, 1);
  const Shopper shopper = shopper_of(1, {0, 2}, catalogue);
  HistoryExample example = example_of(1, 5, 2);
  EXPECT_FALSE(sampler.draw(example, shopper, 5));
  EXPECT_TRUE(example.candidates.empty());
  ASSERT_TRUE(sampler.draw(example, shopper, 4));
  std::set<std::uint32_t> titles;
  for (std::uint32_t item : example.candidates) titles.insert(catalogue[item].title_id);
  EXPECT_EQ(titles, (std::set<std::uint32_t>{1, 2, 3, 4}));
  const NegativeSampler empty(catalogue, {std::vector<std::int64_t>(10, 0)}, 1);
  EXPECT_FALSE(empty.draw(example, shopper, 2));
}

}  // namespace allreco::data
