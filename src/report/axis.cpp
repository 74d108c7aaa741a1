#include "report/axis.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "report/table.h"

namespace allreco::report {
namespace {

constexpr int kMostSteps = 6;

/// Enough digits to tell ticks apart, and no more.
std::string tick_text(double value, double step, Unit unit) {
  switch (unit) {
    case Unit::share: {
      const bool is_whole = std::abs(100 * step - std::round(100 * step)) < 1e-9;
      return fmt::format("{:.{}f} %", 100 * value, is_whole ? 0 : 1);
    }
    case Unit::bytes:
      return shown_bytes(value);
    case Unit::number:
      break;
  }
  const double largest = std::abs(value);
  if (largest >= 1e6) return fmt::format("{:g}M", value / 1e6);
  if (largest >= 1e4) return fmt::format("{:g}k", value / 1e3);
  if (value != 0 && largest < 1e-3) return fmt::format("{:.3g}", value);
  return fmt::format("{:g}", std::round(value * 1e6) / 1e6);
}

std::string magnitude_text(double value, Unit unit) {
  if (unit == Unit::bytes) return shown_bytes(value);
  if (value >= 1e9) return fmt::format("{:g}B", value / 1e9);
  return tick_text(value, value, unit);
}

}  // namespace

double nice_step(double range, int most) {
  core::require(range > 0 && std::isfinite(range) && most > 0, "steps need a range");
  const double least = range / most;
  const double power = std::pow(10, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 2.5, 5.0})
    if (factor * power >= least * (1 - 1e-9)) return factor * power;
  return 10 * power;
}

Axis Axis::linear(std::string label, std::vector<double> values, Unit unit, bool from_zero) {
  if (from_zero || values.empty()) values.push_back(0);
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  constexpr double kLargest = 1e300;  // twice as much is still a number
  double low = std::clamp(*least, -kLargest, kLargest), high = std::clamp(*most, -kLargest, kLargest);
  const double magnitude = std::max(std::abs(low), std::abs(high));
  if (high - low <= 1e-9 * magnitude || high == low) {  // one value
    const double room = magnitude == 0 ? 1 : 0.5 * magnitude;
    low = from_zero ? low : low - room;
    high += room;
  }
  const double step = nice_step(high - low, kMostSteps);
  Axis axis;
  axis.label_ = std::move(label);
  const double first = std::floor(low / step + 1e-9), last = std::ceil(high / step - 1e-9);
  axis.low_ = first * step;
  axis.high_ = last * step;
  for (double i = first; i <= last + 0.5; ++i) axis.ticks_.push_back({i * step, tick_text(i * step, step, unit)});
  return axis;
}

Axis Axis::logarithmic(std::string label, std::vector<double> values, Unit unit) {
  core::require(!values.empty() && std::all_of(values.begin(), values.end(), [](double v) { return v > 0; }),
                "a logarithmic axis needs positive values");
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  const int first = static_cast<int>(std::floor(std::log10(*least) + 1e-9));
  const int last = std::max(first + 1, static_cast<int>(std::ceil(std::log10(*most) - 1e-9)));
  Axis axis;
  axis.label_ = std::move(label);
  axis.is_logarithmic_ = true;
  axis.low_ = std::pow(10, first);
  axis.high_ = std::pow(10, last);
  const int every = 1 + (last - first) / 8;
  for (int power = first; power <= last; power += every)
    axis.ticks_.push_back({std::pow(10, power), magnitude_text(std::pow(10, power), unit)});
  return axis;
}

Axis Axis::shares(std::string label) {
  Axis axis;
  axis.label_ = std::move(label);
  for (int i = 0; i <= 5; ++i) axis.ticks_.push_back({0.2 * i, fmt::format("{} %", 20 * i)});
  return axis;
}

double Axis::place(double value) const {
  if (!is_logarithmic_) return (value - low_) / (high_ - low_);
  return (std::log10(value) - std::log10(low_)) / (std::log10(high_) - std::log10(low_));
}

}  // namespace allreco::report
