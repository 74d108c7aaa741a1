// Axes: where ticks stand, what they say, and where a value lies.
#pragma once
#include <string>
#include <vector>

namespace allreco::report {

enum class Unit { number, share, bytes };

struct Tick {
  double value = 0;
  std::string text;
};

class Axis {
 public:
  /// Covers the values and ends at ticks. `from_zero`: also 0, as amounts ask for. Values that are equal, or none, get
  /// an axis around them.
  static Axis linear(std::string label, std::vector<double> values, Unit unit = Unit::number, bool from_zero = false);
  /// From tick to tick; REQUIRES positive values.
  static Axis logarithmic(std::string label, std::vector<double> values, Unit unit = Unit::number);
  /// Exactly from 0 to 1.
  static Axis shares(std::string label);

  const std::string& label() const { return label_; }
  const std::vector<Tick>& ticks() const { return ticks_; }
  double low() const { return low_; }
  double high() const { return high_; }
  /// 0 at the lower end, 1 at the upper one.
  double place(double value) const;

 private:
  std::string label_;
  double low_ = 0, high_ = 1;
  bool is_logarithmic_ = false;
  std::vector<Tick> ticks_;
};

/// 1, 2, 2.5 or 5 times a power of ten: the smallest such step with at most `most` of them in `range`. REQUIRES a
/// positive range.
double nice_step(double range, int most);

}  // namespace allreco::report
