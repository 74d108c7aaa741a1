#include "train/early_stopping.h"

#include <cmath>
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

}  // namespace allreco::train
