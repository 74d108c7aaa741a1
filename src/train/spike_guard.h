// SpikeGuard: finds steps whose loss or gradient norm lies far above those of the steps before, as llm.c does
// (llmc/outlier_detector.h, its options -sl and -sg): by the z-score of the newest value within a window of values.
// Every rank sees the same losses and norms, so all decide alike.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"

namespace allreco::train {

/// The newest values of one quantity.
class OutlierWindow {
 public:
  static constexpr std::size_t kSize = 128;
  /// An outlier stays out of the window, so that it does not make room for the next one. At the third in a row it is
  /// the level that has changed (llm.c lets that one enter): the window begins anew with it.
  static constexpr std::int64_t kMostInARow = 2;
  /// No value of kSize ones lies further above their mean: sqrt(kSize - 1) standard deviations (Samuelson, 1968).
  static constexpr double kLargestZ = 11.269427669584644;

  /// The z-score (value - mean) / standard deviation over the newest kSize values, this one included; 0 for the first
  /// kSize values, when all are equal, and for the one that begins anew. Takes the value in unless it is an outlier, z
  /// > limit > 0.
  double add(double value, double limit);

  core::Json to_json() const;
  void restore(const core::Json& json);

 private:
  std::vector<double> values_;  // oldest first
  std::int64_t outliers_in_a_row_ = 0;
};

struct SpikeLimits {
  double loss_z = 0;       // 0: no limit
  double grad_norm_z = 0;  // 0: no limit
};

class SpikeGuard {
 public:
  /// Takes a step's finite numbers in; what is wrong with them, empty when nothing is.
  std::string check(const SpikeLimits& limits, double loss, double grad_norm);

  /// For trainer_state.json.
  core::Json to_json() const;
  void restore(const core::Json& json);

 private:
  OutlierWindow loss_, grad_norm_;
};

}  // namespace allreco::train
