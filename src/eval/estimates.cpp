#include "eval/estimates.h"

#include <fmt/core.h>

#include <algorithm>

#include "core/check.h"
#include "eval/metrics.h"

namespace allreco::eval {

void EstimateTable::add(const std::string& json_pointer, std::vector<double> values, bool is_share) {
  core::require(values.size() == clusters_.of_example.size(), "an estimate needs one value an example");
  pointers_.push_back(json_pointer);
  columns_.push_back(std::move(values));
  is_share_.push_back(is_share);
}

void EstimateTable::write_to(core::Json& document, std::int64_t resamples, std::uint64_t seed) const {
  const std::vector<Interval> intervals = bootstrap_intervals(columns_, clusters_, resamples, seed);
  const auto num_examples = std::ssize(clusters_.of_example);
  for (std::size_t m = 0; m < columns_.size(); ++m) {
    const double value = mean(columns_[m]);
    core::Json estimate = {{"value", value}, {"bootstrap_95", {intervals[m].low, intervals[m].high}}};
    if (is_share_[m]) {
      const Interval wilson = wilson_interval(value * static_cast<double>(num_examples), num_examples);
      estimate["wilson_95"] = {wilson.low, wilson.high};
    }
    document[core::Json::json_pointer(pointers_[m])] = std::move(estimate);
  }
}

void warn_of_baselines(const std::string& what, const core::Json& of_model, const core::Json& baselines,
                       const std::string& metric, std::vector<std::string>& warnings) {
  std::string reached;
  for (const auto& [name, baseline] : baselines.items()) {
    if (baseline.contains("not_applicable")) continue;
    const double value = baseline[metric]["value"].get<double>();
    if (value >= of_model["wilson_95"][0].get<double>())
      reached += fmt::format("{}{} {:.1f} %", reached.empty() ? "" : ", ", name, 100 * value);
  }
  if (!reached.empty())
    warnings.push_back(fmt::format("{}: the model's {:.1f} % is not clearly above {}", what,
                                   100 * of_model["value"].get<double>(), reached));
}

}  // namespace allreco::eval
