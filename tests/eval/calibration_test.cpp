#include "eval/calibration.h"

#include <gtest/gtest.h>

#include <cmath>

namespace allreco::eval {
namespace {

TEST(Calibration, LossAndBrierByHand) {
  const std::vector<double> scores{std::log(0.2), std::log(0.5), std::log(0.1)};  // the rest of the mass lies elsewhere
  const std::vector<double> p = softmax(scores);
  EXPECT_NEAR(p[0], 0.25, 1e-15);
  EXPECT_NEAR(p[1], 0.625, 1e-15);
  EXPECT_NEAR(log_loss(scores, 2), std::log(8.0), 1e-14);
  EXPECT_NEAR(brier_score(p, 1), 0.0625 + 0.140625 + 0.015625, 1e-15);
  // Sequence log-likelihoods are far below the smallest double's logarithm (-745).
  EXPECT_NEAR(log_loss(std::vector<double>{-2000, -1000}, 0), 1000.0, 1e-9);
}

TEST(Calibration, ExpectedErrorByHand) {
  // Bin [0.6, 0.667): mean confidence 0.62, half right, gap 0.12; bin [0.9, ...): confidence 0.95, all right, gap 0.05.
  const std::vector<Claim> claims{{0.61, 1}, {0.63, 0}, {0.95, 1}, {0.95, 1}};
  EXPECT_NEAR(expected_calibration_error(claims), (2 * 0.12 + 2 * 0.05) / 4, 1e-12);
  // Two bins of two claims each: the same bins here.
  EXPECT_NEAR(expected_calibration_error_equal_mass(claims, 2), (2 * 0.12 + 2 * 0.05) / 4, 1e-12);
  // One bin: right 3 of 4, claimed 0.785.
  EXPECT_NEAR(expected_calibration_error_equal_mass(claims, 1), 0.035, 1e-12);
  EXPECT_NEAR(expected_calibration_error(std::vector<Claim>{{1.0, 1}}), 0.0, 1e-15);  // the last bin holds 1 itself
}

TEST(Calibration, BinsOfTheDiagramByHand) {
  const std::vector<Claim> claims{{0.61, 1}, {0.63, 0}, {1.0, 1}};
  const std::vector<ReliabilityBin> bins = reliability_bins(claims);
  ASSERT_EQ(bins.size(), 2u);
  EXPECT_EQ(bins[0].num_examples, 2);
  EXPECT_NEAR(bins[0].low, 9.0 / 15, 1e-15);
  EXPECT_NEAR(bins[0].high, 10.0 / 15, 1e-15);
  EXPECT_NEAR(bins[0].mean_confidence, 0.62, 1e-15);
  EXPECT_NEAR(bins[0].accuracy, 0.5, 1e-15);
  EXPECT_EQ(bins[1].num_examples, 1);
  EXPECT_NEAR(bins[1].high, 1.0, 1e-15);
  EXPECT_TRUE(reliability_bins({}).empty());
}

}  // namespace
}  // namespace allreco::eval
