#include "audit/combination.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/random.h"

namespace allreco::audit {
namespace {

/// Lists of four with three features; the right one is drawn by the logit of `weights`.
std::vector<PlacedList> drawn_lists(const std::vector<double>& weights, std::size_t count) {
  core::RandomStream stream(core::key_of("lists"));
  std::vector<PlacedList> lists;
  for (std::size_t i = 0; i < count; ++i) {
    PlacedList list{FeatureValues(weights.size()), 0};
    for (auto& places : list.places) {
      std::vector<double> values;
      for (int j = 0; j < 4; ++j) values.push_back(static_cast<double>(stream.next_below(6)));
      places = places_of(values);
    }
    std::vector<double> odds;
    double sum = 0;
    for (std::size_t j = 0; j < 4; ++j) {
      double score = 0;
      for (std::size_t f = 0; f < weights.size(); ++f) score += weights[f] * list.places[f][j];
      sum += odds.emplace_back(std::exp(score));
    }
    double left = stream.next_uniform() * sum;
    while (list.gold < 3 && left >= odds[list.gold]) left -= odds[list.gold++];
    lists.push_back(std::move(list));
  }
  return lists;
}

TEST(Combination, PlacesRunFromTheLeastToTheMost) {
  EXPECT_EQ(places_of({5, 1, 3}), (std::vector<double>{1, -1, 0}));
  EXPECT_EQ(places_of({2, 2, 7}), (std::vector<double>{-0.5, -0.5, 1}));
  EXPECT_EQ(places_of({4, 4}), (std::vector<double>{0, 0}));
}

// At the maximum every numeric derivative is 0; the curvature there is about -1000, so a slope of 0.05 is a weight's
// 0.00005.
TEST(Combination, ReachesTheMaximumAndLeavesOutWhatSaysNothing) {
  const auto lists = drawn_lists({1.5, 0, -0.8}, 4000);
  const std::vector<FittedTerm> terms = fit_combination(lists, {0, 1, 2});
  ASSERT_EQ(terms.size(), 2U);
  EXPECT_EQ(terms[0].feature, 0U);
  EXPECT_EQ(terms[1].feature, 2U);
  // The standard errors are about 0.04.
  EXPECT_NEAR(terms[0].weight, 1.5, 0.15);
  EXPECT_NEAR(terms[1].weight, -0.8, 0.15);
  for (std::size_t t = 0; t < terms.size(); ++t) {
    constexpr double kStep = 1e-4;
    auto less = terms, more = terms;
    less[t].weight -= kStep;
    more[t].weight += kStep;
    EXPECT_NEAR((log_likelihood(lists, more) - log_likelihood(lists, less)) / (2 * kStep), 0, 0.05);
  }
}

TEST(Combination, StaysFiniteWhereAFeatureIsAlwaysRight) {
  std::vector<PlacedList> lists;
  for (std::size_t gold = 0; gold < 4; ++gold) {
    std::vector<double> values(4);
    values[gold] = 1;
    for (int copy = 0; copy < 50; ++copy) lists.push_back({{places_of(values)}, gold});
  }
  const auto terms = fit_combination(lists, {0});
  ASSERT_EQ(terms.size(), 1U);
  EXPECT_TRUE(std::isfinite(terms[0].weight));
  EXPECT_GT(terms[0].weight, 1);
}

}  // namespace
}  // namespace allreco::audit
