#include "train/spike_guard.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/random.h"

namespace allreco::train {
namespace {

constexpr auto kSize = static_cast<std::int64_t>(OutlierWindow::kSize);

/// 1, 2, ..., kSize: mean (n + 1) / 2, variance (n^2 - 1) / 12.
OutlierWindow full_window() {
  OutlierWindow window;
  for (std::int64_t i = 1; i <= kSize; ++i) EXPECT_EQ(window.add(static_cast<double>(i), 1), 0) << "still filling";
  return window;
}

TEST(OutlierWindow, GivesTheZScoreWithinTheNewestValues) {
  OutlierWindow window = full_window();
  // The next window is 2, ..., n + 1: its last value lies (n - 1) / 2 above the mean.
  const auto n = static_cast<double>(kSize);
  const double expected = (n - 1) / 2 / std::sqrt((n * n - 1) / 12);
  EXPECT_NEAR(window.add(n + 1, 0), expected, 1e-12);
  EXPECT_NEAR(window.add(n + 2, 0), expected, 1e-12);
}

TEST(OutlierWindow, EqualValuesAreNoOutliers) {
  OutlierWindow window;
  for (std::int64_t i = 0; i < kSize + 3; ++i) EXPECT_EQ(window.add(2.5, 0.1), 0);
}

TEST(OutlierWindow, NoZScoreIsLargerThanTheLargest) {
  OutlierWindow window;
  for (std::int64_t i = 1; i <= kSize; ++i) window.add(0, 0);
  EXPECT_NEAR(window.add(1, 0), OutlierWindow::kLargestZ, 1e-9);
}

TEST(OutlierWindow, TheThirdOutlierInARowBeginsAnew) {
  OutlierWindow window = full_window();
  const double first = window.add(1e6, 5);
  // n - 1 values and one far above: z tends to sqrt(n - 1).
  EXPECT_NEAR(first, std::sqrt(static_cast<double>(kSize) - 1), 1e-2);
  EXPECT_EQ(window.add(1e6, 5), first) << "the window is as it was";
  EXPECT_EQ(window.add(1e6, 5), 0) << "the level has changed";
  for (std::int64_t i = 1; i < kSize; ++i) EXPECT_EQ(window.add(2e6, 5), 0) << "filling again";
  EXPECT_NE(window.add(3e6, 5), 0);
}

TEST(OutlierWindow, ComesBackBitByBit) {
  core::RandomStream stream(3);
  const auto draw = [&] { return static_cast<double>(stream.next_u64()) * 0x1p-64; };
  OutlierWindow window;
  for (int i = 0; i < 200; ++i) window.add(draw(), 1.5);
  OutlierWindow copy;
  copy.restore(core::Json::parse(window.to_json().dump()));
  for (int i = 0; i < 200; ++i) {
    const double value = draw();
    EXPECT_EQ(copy.add(value, 1.5), window.add(value, 1.5));
  }
}

TEST(SpikeGuard, NamesWhatSpikes) {
  SpikeGuard guard;
  core::RandomStream stream(4);
  const auto draw = [&] { return 2 + static_cast<double>(stream.next_below(1000)) / 1000; };
  for (std::int64_t i = 0; i < kSize; ++i) EXPECT_EQ(guard.check({.loss_z = 5, .grad_norm_z = 5}, draw(), draw()), "");
  EXPECT_NE(guard.check({.loss_z = 5, .grad_norm_z = 5}, 9, draw()).find("its loss 9 lies"), std::string::npos);
  EXPECT_NE(guard.check({.loss_z = 5, .grad_norm_z = 5}, draw(), 9).find("its gradient norm 9 lies"),
            std::string::npos);
  EXPECT_EQ(guard.check({}, 9, 9), "") << "no limit is the default";
  EXPECT_EQ(guard.check({.loss_z = 5, .grad_norm_z = 5}, -9, -9), "") << "only upwards";
}

}  // namespace
}  // namespace allreco::train
