#include "report/chart.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "report/axis.h"

namespace allreco::report {
namespace {

TEST(Axis, StepsAreNiceAndTheSmallestThatFit) {
  for (double range = 1e-7; range < 1e9; range *= 1.37) {
    const double step = nice_step(range, 6);
    const double digit = step / std::pow(10, std::floor(std::log10(step) + 1e-9));
    EXPECT_TRUE(std::abs(digit - 1) < 1e-6 || std::abs(digit - 2) < 1e-6 || std::abs(digit - 2.5) < 1e-6 ||
                std::abs(digit - 5) < 1e-6)
        << range << " " << step;
    EXPECT_LE(range / step, 6 + 1e-6) << range;
    EXPECT_GT(range / step, 6 / 2.5) << range;  // the next smaller nice step is at most 2.5 times smaller
  }
}

TEST(Axis, TicksCoverTheValuesAndDiffer) {
  for (const auto& values : std::vector<std::vector<double>>{{0.3, 4.15},
                                                             {1.089, 1.0891},
                                                             {-2, 3},
                                                             {5},
                                                             {0},
                                                             {},
                                                             {1e-9, 9e-6},
                                                             {12000, 16800},
                                                             {3e8, 4e9},
                                                             {-1e300, 1e300}}) {
    for (const bool from_zero : {false, true}) {
      const Axis axis = Axis::linear("x", values, Unit::number, from_zero);
      for (const double value : values) {
        EXPECT_GE(axis.place(value), -1e-9);
        EXPECT_LE(axis.place(value), 1 + 1e-9);
      }
      if (from_zero) {
        EXPECT_LE(axis.low(), 0);
      }
      EXPECT_DOUBLE_EQ(axis.place(axis.low()), 0);
      EXPECT_DOUBLE_EQ(axis.place(axis.high()), 1);
      std::set<std::string> texts;
      for (const Tick& tick : axis.ticks()) texts.insert(tick.text);
      EXPECT_EQ(texts.size(), axis.ticks().size());
      EXPECT_GE(texts.size(), 2u);
      EXPECT_LE(texts.size(), 9u);
    }
  }
}

TEST(Axis, LogarithmsPutPowersOfTenAtEqualDistances) {
  const Axis axis = Axis::logarithmic("parameters", {260'032, 134'515'008});
  EXPECT_DOUBLE_EQ(axis.low(), 1e5);
  EXPECT_DOUBLE_EQ(axis.high(), 1e9);
  EXPECT_NEAR(axis.place(1e6), 0.25, 1e-12);
  EXPECT_NEAR(axis.place(260'032), std::log10(2.60032) / 4, 1e-12);
  EXPECT_EQ(axis.ticks().back().text, "1B");
}

/// The numbers of a path's points.
std::vector<std::pair<double, double>> points_of(const std::string& svg) {
  const std::size_t begin = svg.find("d=\"M", svg.find("<svg viewBox=\"0 0 480")) + 4;
  std::string path = svg.substr(begin, svg.find('"', begin) - begin);
  std::replace(path.begin(), path.end(), 'L', ' ');
  std::istringstream stream(path);
  std::vector<std::pair<double, double>> points;
  for (double x = 0, y = 0; stream >> x >> y;) points.emplace_back(x, y);
  return points;
}

Chart line_of(std::size_t count) {
  Series series{.name = "run <1>"};
  for (std::size_t i = 0; i < count; ++i)
    series.points.push_back(
        {.x = static_cast<double>(i), .y = i == count / 3 ? 100.0 : std::sin(0.01 * static_cast<double>(i))});
  Axis x = Axis::linear("step", xs_of({series})), y = Axis::linear("value", ys_of({series}));
  return {.title = "A & B", .x = x, .y = y, .series = {series}};
}

TEST(Chart, ALongLineKeepsItsPeakAndItsEnds) {
  const Chart chart = line_of(100'000);
  const std::string svg = html_of(chart).code();
  const auto points = points_of(svg);
  EXPECT_LT(points.size(), 1000u);
  EXPECT_GT(points.size(), 500u);
  EXPECT_TRUE(
      std::is_sorted(points.begin(), points.end(), [](const auto& a, const auto& b) { return a.first < b.first; }));
  const auto top =
      std::min_element(points.begin(), points.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  const double left = 58, right = 480 - 14, bottom = 290 - 42, height = 290 - 42 - 10;
  EXPECT_NEAR(top->second, bottom - chart.y.place(100) * height, 0.06);  // a tenth is what the drawing keeps
  EXPECT_NEAR(top->first, left + chart.x.place(33'333) * (right - left), 0.06);
  EXPECT_NEAR(points.front().first, left + chart.x.place(0) * (right - left), 0.06);
  EXPECT_NEAR(points.back().first, left + chart.x.place(99'999) * (right - left), 0.06);
}

TEST(Chart, AShortLineHasEveryPoint) {
  const Chart chart = line_of(7);
  EXPECT_EQ(points_of(html_of(chart).code()).size(), 7u);
}

TEST(Chart, NamesAreText) {
  const std::string svg = html_of(line_of(3)).code();
  EXPECT_NE(svg.find("run &lt;1&gt;"), std::string::npos);
  EXPECT_NE(svg.find("A &amp; B"), std::string::npos);
  EXPECT_EQ(svg.find("run <1>"), std::string::npos);
}

TEST(Chart, PartsOfABarFillIt) {
  const std::string bars = stacked_bars("time", {"a", "b"}, {{"one", {3, 1}}, {"none", {0, 0}}}).code();
  EXPECT_NE(bars.find("width:75.000%"), std::string::npos);
  EXPECT_NE(bars.find("width:25.000%"), std::string::npos);
  EXPECT_EQ(bars.find("nan"), std::string::npos);
}

}  // namespace
}  // namespace allreco::report
