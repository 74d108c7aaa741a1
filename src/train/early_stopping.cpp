#include "train/early_stopping.h"

#include <cmath>
#include <limits>
#include <optional>

namespace allreco::train {

bool is_out_of_patience(std::span<const double> metrics, const Patience& patience) {
  if (patience.evaluations == 0) return false;
  std::optional<double> best;
  std::int64_t without_gain = 0;
  for (const double metric : metrics) {
    const bool is_better =
        std::isfinite(metric) && (!best || (patience.greater_is_better ? metric > *best : metric < *best));
    const bool is_gain = is_better && (!best || std::abs(metric - *best) > patience.threshold);
    without_gain = is_gain ? 0 : without_gain + 1;
    if (is_better) best = metric;
  }
  return without_gain >= patience.evaluations;
}

std::vector<double> metrics_in(const std::vector<core::Json>& log, const std::string& key) {
  std::vector<double> metrics;
  for (const core::Json& line : log) {
    if (!line.contains(key)) continue;
    const core::Json& value = line.at(key);
    metrics.push_back(value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN());
  }
  return metrics;
}

}  // namespace allreco::train
