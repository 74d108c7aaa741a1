// From ranks of the right answers to columns of metrics.
#pragma once
#include <span>
#include <vector>

#include "eval/document.h"
#include "eval/estimates.h"
#include "eval/metrics.h"

namespace allreco::eval {

/// metric(ranks) of each example.
template <class Metric>
std::vector<double> of_each_rank(std::span<const Ranks> ranks, const Metric& metric) {
  std::vector<double> values;
  values.reserve(ranks.size());
  for (const Ranks& r : ranks) values.push_back(metric(r));
  return values;
}

/// accuracy, hit_rate@k and ndcg@k of the cutoffs below `num_candidates`, mrr, auc.
std::vector<Column> rank_columns(std::span<const Ranks> ranks, std::int64_t num_candidates);

RankSummary summary_of(std::span<const Ranks> ranks);

}  // namespace allreco::eval
