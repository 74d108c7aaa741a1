#include "eval/estimates.h"

#include "core/check.h"
#include "eval/metrics.h"

namespace allreco::eval {

Estimates estimates_of(std::vector<Column> columns, const Clusters& clusters, const BootstrapOptions& bootstrap) {
  const auto num_examples = std::ssize(clusters.of_example);
  Estimates estimates;
  std::vector<std::vector<double>> values;
  for (Column& column : columns) {
    core::require(std::ssize(column.values) == num_examples, "an estimate needs one value an example");
    Estimate estimate{mean(column.values), {}};
    if (column.is_share)
      estimate.wilson_95 = wilson_interval(estimate.value * static_cast<double>(num_examples), num_examples);
    estimates.emplace_back(std::move(column.name), estimate);
    values.push_back(std::move(column.values));
  }
  const std::vector<Interval> intervals = bootstrap_intervals(values, clusters, bootstrap.resamples, bootstrap.seed);
  for (std::size_t m = 0; m < intervals.size(); ++m) estimates[m].second.bootstrap_95 = intervals[m];
  return estimates;
}

}  // namespace allreco::eval
