// Estimates: means over examples with their intervals.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/json_fields.h"
#include "eval/intervals.h"

namespace allreco::eval {

struct BootstrapOptions {
  std::int64_t resamples = 2000;
  std::uint64_t seed = 42;
};

/// A metric's value of each example.
struct Column {
  std::string name;
  std::vector<double> values;
  bool is_share = false;  // each value is a probability of success, so that Wilson's interval applies
};

struct Estimate {
  double value = 0;
  Interval bootstrap_95 = {};
  std::optional<Interval> wilson_95 = {};  // of shares

  /// Where one must do: Wilson's, which holds for few examples, too.
  const Interval& shown_interval() const { return wilson_95 ? *wilson_95 : bootstrap_95; }

  template <class Archive>
  void fields(Archive& a) {
    a("value", value);
    a("bootstrap_95", bootstrap_95);
    a("wilson_95", wilson_95);
  }
  static bool is_written_as(const core::Json& json) { return json.is_object() && json.contains("bootstrap_95"); }
};
using Estimates = core::Named<Estimate>;  // by metric

/// The mean of each column, which has one value an example.
Estimates estimates_of(std::vector<Column> columns, const Clusters& clusters, const BootstrapOptions& bootstrap);

}  // namespace allreco::eval
