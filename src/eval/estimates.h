// Estimates: means over examples with their intervals, collected first so that one bootstrap serves all of them.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"
#include "eval/intervals.h"

namespace allreco::eval {

class EstimateTable {
 public:
  explicit EstimateTable(Clusters clusters) : clusters_(std::move(clusters)) {}

  /// The mean of `values` (one an example) will stand at `json_pointer`. `is_share`: each value is a probability of
  /// success, so that Wilson's interval applies.
  void add(const std::string& json_pointer, std::vector<double> values, bool is_share = false);

  /// Writes {"value", "bootstrap_95", and for shares "wilson_95"} at every pointer.
  void write_to(core::Json& document, std::int64_t resamples, std::uint64_t seed) const;

 private:
  Clusters clusters_;
  std::vector<std::string> pointers_;
  std::vector<std::vector<double>> columns_;
  std::vector<bool> is_share_;
};

/// One warning that names all baselines whose `metric` reaches the lower end of the model's Wilson interval: then they
/// are the finding, not the model.
void warn_of_baselines(const std::string& what, const core::Json& of_model, const core::Json& baselines,
                       const std::string& metric, std::vector<std::string>& warnings);

}  // namespace allreco::eval
