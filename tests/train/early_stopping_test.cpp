// When patience ends, by hand and as transformers' EarlyStoppingCallback counts.
#include "train/early_stopping.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace allreco::train {
namespace {

/// After how many evaluations training ends; 0: never.
std::size_t ends_after(const std::vector<double>& metrics, const Patience& patience) {
  for (std::size_t n = 1; n <= metrics.size(); ++n)
    if (is_out_of_patience(std::span(metrics).first(n), patience)) return n;
  return 0;
}

TEST(EarlyStopping, CountsEvaluationsWithoutAGainInARow) {
  const std::vector<double> losses = {3, 2, 2.5, 1.9, 2.1, 2.0, 1.95, 1.8};
  EXPECT_EQ(ends_after(losses, {1, 0, false}), 3u);
  EXPECT_EQ(ends_after(losses, {2, 0, false}), 6u);
  EXPECT_EQ(ends_after(losses, {3, 0, false}), 7u);
  EXPECT_EQ(ends_after(losses, {4, 0, false}), 0u);
  EXPECT_EQ(ends_after(losses, {0, 0, false}), 0u);
}

TEST(EarlyStopping, GreaterMayBeBetterAndSmallGainsAreNone) {
  const std::vector<double> accuracies = {0.10, 0.30, 0.31, 0.32, 0.33, 0.60};
  EXPECT_EQ(ends_after(accuracies, {2, 0, true}), 0u);
  EXPECT_EQ(ends_after(accuracies, {2, 0.015, true}), 4u);  // each 0.01 above the best before it
  EXPECT_EQ(ends_after(accuracies, {1, 0, false}), 2u);
}

TEST(EarlyStopping, WhatIsNotFiniteIsNoGain) {
  EXPECT_EQ(ends_after({2, NAN, INFINITY, 1}, {2, 0, false}), 3u);
  EXPECT_EQ(ends_after({NAN, NAN, 1}, {2, 0, false}), 2u);
}

// trainer_state.json holds the lines as text, and JSON knows no NaN: a run that resumes must count it all the same.
TEST(EarlyStopping, AResumedRunCountsAsTheFirst) {
  const std::vector<core::Json> log = {
      {{"loss", 5.0}}, {{"eval_loss", 2.0}}, {{"eval_loss", NAN}}, {{"eval_loss", 2.5}}};
  std::vector<core::Json> read_back;
  for (const core::Json& line : log) read_back.push_back(core::Json::parse(line.dump()));
  for (const auto& lines : {log, read_back}) {
    const std::vector<double> metrics = metrics_in(lines, "eval_loss");
    ASSERT_EQ(metrics.size(), 3u);
    EXPECT_TRUE(std::isnan(metrics[1]));
    EXPECT_TRUE(is_out_of_patience(metrics, {2, 0, false}));
  }
}

}  // namespace
}  // namespace allreco::train
