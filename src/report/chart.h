// Charts as inline SVG: readable without script, in light and dark, on paper.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/html.h"
#include "eval/intervals.h"
#include "report/axis.h"

namespace allreco::report {

/// How many runs have colours of their own; what is no run has the last one.
inline constexpr std::size_t kNumColors = 8;
inline constexpr std::size_t kReferenceColor = SIZE_MAX;

struct Point {
  double x = 0, y = 0;
  std::optional<eval::Interval> y_interval = {};
  std::string text = {};  // shown when the pointer rests on it
  double radius = 3.6;
};

enum class Mark { line, line_and_points, points };

struct Series {
  std::string name;
  std::size_t color = 0;  // a run's place: its colour and, of points, its shape
  Mark mark = Mark::line;
  bool is_dashed = false;
  std::vector<Point> points = {};  // by rising x where there is a line
};

struct Chart {
  std::string title;
  std::string note = {};  // a sentence below the title
  Axis x, y;
  std::vector<Series> series;
  bool has_diagonal = false;  // from corner to corner
};

/// The coordinates of all points, for axes.
std::vector<double> xs_of(const std::vector<Series>& series);
std::vector<double> ys_of(const std::vector<Series>& series);  // with the ends of intervals

/// A <figure> with its legend. Long lines are thinned to the lowest and highest value of each of some 400 stretches.
core::Html html_of(const Chart& chart);

/// One bar of parts that add up to a whole.
struct StackedBar {
  std::string name;
  std::vector<double> parts;
};
/// A bar a row, each as long as the page is wide.
core::Html stacked_bars(const std::string& title, const std::vector<std::string>& parts,
                        const std::vector<StackedBar>& bars);

/// A value with its interval on a line from `low` to `high`, small enough for a cell of a table. `reference`: a mark.
core::Html interval_graphic(double value, const std::optional<eval::Interval>& interval, double low, double high,
                            std::optional<double> reference, std::size_t color);
/// The coloured mark of a run.
core::Html swatch(std::size_t color);

}  // namespace allreco::report
