#include "report/chart.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "report/table.h"

namespace allreco::report {

using core::html;
using core::Html;

namespace {

// In units of the drawing, which a page shows at 0.8 to 1.2 times its size.
constexpr double kWidth = 480, kHeight = 290;
constexpr double kLeft = 58, kRight = 14, kTop = 10, kBottom = 42;
constexpr std::size_t kMostStretches = 400;
constexpr std::size_t kMostMarks = 400;

std::string color_class(std::size_t color) {
  return color == kReferenceColor ? "plain" : fmt::format("s{}", color % kNumColors);
}

double x_of(const Chart& chart, double value) { return kLeft + chart.x.place(value) * (kWidth - kLeft - kRight); }
double y_of(const Chart& chart, double value) {
  return kHeight - kBottom - chart.y.place(value) * (kHeight - kTop - kBottom);
}

Html grid(const Chart& chart) {
  Html out;
  const double bottom = kHeight - kBottom, right = kWidth - kRight;
  for (const Tick& tick : chart.y.ticks()) {
    const double y = y_of(chart, tick.value);
    out += html("<line class=\"grid\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>", kLeft, right, y, y);
    out += html("<text class=\"tick\" text-anchor=\"end\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>", kLeft - 7, y + 4,
                tick.text);
  }
  for (const Tick& tick : chart.x.ticks()) {
    const double x = x_of(chart, tick.value);
    out += html("<line class=\"axis\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>", x, x, bottom,
                bottom + 4);
    out += html("<text class=\"tick\" text-anchor=\"middle\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>", x, bottom + 17,
                tick.text);
  }
  out += html("<line class=\"axis\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>", kLeft, right, bottom,
              bottom);
  out += html("<text class=\"label\" text-anchor=\"middle\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>", (kLeft + right) / 2,
              kHeight - 6, chart.x.label());
  if (chart.has_diagonal)
    out += html("<line class=\"diagonal\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>", kLeft, bottom,
                right, kTop);
  return out;
}

/// Of each stretch the lowest and the highest point, in their order: the eye sees the same line.
std::vector<Point> thinned(const std::vector<Point>& points) {
  if (points.size() <= 2 * kMostStretches) return points;
  std::vector<Point> kept{points.front()};
  const auto less = [](const Point& a, const Point& b) { return a.y < b.y; };
  for (std::size_t s = 0; s < kMostStretches; ++s) {
    const auto begin = points.begin() + static_cast<std::ptrdiff_t>(points.size() * s / kMostStretches);
    const auto end = points.begin() + static_cast<std::ptrdiff_t>(points.size() * (s + 1) / kMostStretches);
    const auto [low, high] = std::minmax_element(begin, end, less);
    kept.push_back(*std::min(low, high));
    if (low != high) kept.push_back(*std::max(low, high));
  }
  kept.push_back(points.back());
  return kept;
}

Html line_html(const Chart& chart, const Series& series) {
  std::string path;
  for (const Point& point : thinned(series.points))
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x_of(chart, point.x), y_of(chart, point.y));
  return html("<path class=\"line {}{}\" d=\"{}\"/>", color_class(series.color), series.is_dashed ? " dashed" : "",
              path);
}

/// Circle, square, triangle, diamond: runs differ without colour, too.
std::string shape(std::size_t kind, double x, double y, double r) {
  switch (kind % 4) {
    case 0:
      return fmt::format("M{:.1f} {:.1f}a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0 -{d} 0z", x - r, y, fmt::arg("r", r),
                         fmt::arg("d", 2 * r));
    case 1:
      return fmt::format("M{:.1f} {:.1f}h{d}v{d}h-{d}z", x - 0.9 * r, y - 0.9 * r, fmt::arg("d", 1.8 * r));
    case 2:
      return fmt::format("M{:.1f} {:.1f}l{r} {h}h-{d}z", x, y - 1.1 * r, fmt::arg("r", 1.15 * r), fmt::arg("h", 2 * r),
                         fmt::arg("d", 2.3 * r));
    default:
      return fmt::format("M{:.1f} {:.1f}l{r} {r}l-{r} {r}l-{r} -{r}z", x, y - 1.25 * r, fmt::arg("r", 1.25 * r));
  }
}

Html marks_html(const Chart& chart, const Series& series) {
  Html out;
  for (std::size_t i = 0; i < std::min(kMostMarks, series.points.size()); ++i) {
    const Point& point = series.points[i];
    const double x = x_of(chart, point.x), y = y_of(chart, point.y);
    if (point.y_interval)
      out += html("<line class=\"whisker {}\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>",
                  color_class(series.color), x, x, y_of(chart, point.y_interval->low),
                  y_of(chart, point.y_interval->high));
    out += html("<path class=\"mark {}\" d=\"{}\"><title>{}</title></path>", color_class(series.color),
                shape(series.color, x, y, point.radius), point.text);
  }
  return out;
}

Html legend(const Chart& chart) {
  Html out;
  for (const Series& series : chart.series) {
    const std::string color = color_class(series.color);
    Html sample = series.mark == Mark::points
                      ? Html()
                      : html("<path class=\"line {}{}\" d=\"M1 6h22\"/>", color, series.is_dashed ? " dashed" : "");
    if (series.mark != Mark::line)
      sample += html("<path class=\"mark {}\" d=\"{}\"/>", color, shape(series.color, 12, 6, 3.6));
    out += html(
        "<span class=\"key\"><svg width=\"24\" height=\"12\" viewBox=\"0 0 24 12\" "
        "aria-hidden=\"true\">{}</svg>{}</span>",
        sample, series.name);
  }
  return html("<div class=\"legend\">{}</div>", out);
}

}  // namespace

std::vector<double> xs_of(const std::vector<Series>& series) {
  std::vector<double> values;
  for (const Series& one : series)
    for (const Point& point : one.points) values.push_back(point.x);
  return values;
}

std::vector<double> ys_of(const std::vector<Series>& series) {
  std::vector<double> values;
  for (const Series& one : series) {
    for (const Point& point : one.points) {
      values.push_back(point.y);
      if (point.y_interval) values.insert(values.end(), {point.y_interval->low, point.y_interval->high});
    }
  }
  return values;
}

Html html_of(const Chart& chart) {
  Html drawing = grid(chart);
  for (const Series& series : chart.series)
    if (series.mark != Mark::points && series.points.size() > 1) drawing += line_html(chart, series);
  for (const Series& series : chart.series)
    if (series.mark != Mark::line || series.points.size() == 1) drawing += marks_html(chart, series);
  const Html note = chart.note.empty() ? Html() : html(" <span class=\"note\">{}</span>", chart.note);
  return html(
      "<figure>\n<figcaption><b>{}</b>{}</figcaption>\n{}\n"
      "<svg viewBox=\"0 0 {:g} {:g}\" role=\"img\" aria-label=\"{}: {} over {}\">{}</svg>\n</figure>\n",
      chart.title, note, legend(chart), kWidth, kHeight, chart.title, chart.y.label(), chart.x.label(), drawing);
}

Html stacked_bars(const std::string& title, const std::vector<std::string>& parts,
                  const std::vector<StackedBar>& bars) {
  Html keys, rows;
  for (std::size_t p = 0; p < parts.size(); ++p)
    keys += html("<span class=\"key\"><i class=\"box p{}\"></i>{}</span>", p, parts[p]);
  for (const StackedBar& bar : bars) {
    double whole = 0;
    for (const double part : bar.parts) whole += part;
    Html pieces;
    for (std::size_t p = 0; p < bar.parts.size() && whole > 0; ++p)
      pieces += html("<i class=\"p{}\" style=\"width:{:.3f}%\" title=\"{}: {}\"></i>", p, 100 * bar.parts[p] / whole,
                     parts[p], shown_percent(bar.parts[p] / whole));
    rows += html("<div class=\"bar\"><span>{}</span><div>{}</div></div>\n", bar.name, pieces);
  }
  return html(
      "<figure class=\"wide\">\n<figcaption><b>{}</b></figcaption>\n<div class=\"legend\">{}</div>\n{}</figure>\n",
      title, keys, rows);
}

Html interval_graphic(double value, const std::optional<eval::Interval>& interval, double low, double high,
                      std::optional<double> reference, std::size_t color) {
  constexpr double kLong = 180, kHigh = 18, kEdge = 5;
  const auto at = [&](double v) {
    return kEdge + (kLong - 2 * kEdge) * std::clamp((v - low) / (high - low), 0.0, 1.0);
  };
  Html out = html("<line class=\"grid\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"9\" y2=\"9\"/>", kEdge, kLong - kEdge);
  if (reference)
    out += html("<line class=\"reference\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"0\" y2=\"18\"/>", at(*reference));
  const std::string kind = color_class(color);
  if (interval)
    out += html("<line class=\"whisker {}\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"9\" y2=\"9\"/>", kind, at(interval->low),
                at(interval->high));
  out += html("<circle class=\"mark {}\" cx=\"{:.1f}\" cy=\"9\" r=\"3.6\"/>", kind, at(value));
  return html(
      "<svg class=\"cell\" width=\"{:g}\" height=\"{:g}\" viewBox=\"0 0 {:g} {:g}\" aria-hidden=\"true\">{}</svg>",
      kLong, kHigh, kLong, kHigh, out);
}

Html swatch(std::size_t color) {
  return html(
      "<svg class=\"swatch\" width=\"12\" height=\"12\" viewBox=\"0 0 12 12\" aria-hidden=\"true\"><path class=\"mark "
      "{}\" d=\"{}\"/></svg>",
      color_class(color), shape(color, 6, 6, 4.2));
}

}  // namespace allreco::report
