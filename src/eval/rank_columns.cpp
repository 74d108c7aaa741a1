#include "eval/rank_columns.h"

#include <fmt/core.h>

#include <algorithm>

namespace allreco::eval {

namespace {

constexpr std::int64_t kCutoffs[] = {2, 3, 5, 10, 20, 50};

}  // namespace

std::vector<Column> rank_columns(std::span<const Ranks> ranks, std::int64_t num_candidates) {
  std::vector<Column> columns;
  columns.push_back({"accuracy", of_each_rank(ranks, [](const Ranks& r) { return hit_rate(r, 1); }), true});
  for (const std::int64_t k : kCutoffs) {
    if (k >= num_candidates) break;
    columns.push_back(
        {fmt::format("hit_rate@{}", k), of_each_rank(ranks, [k](auto& r) { return hit_rate(r, k); }), true});
    columns.push_back({fmt::format("ndcg@{}", k), of_each_rank(ranks, [k](auto& r) { return ndcg(r, k); })});
  }
  columns.push_back({"mrr", of_each_rank(ranks, reciprocal_rank)});
  columns.push_back({"auc", of_each_rank(ranks, auc)});
  return columns;
}

RankSummary summary_of(std::span<const Ranks> ranks) {
  const auto mean_of = [&](const auto& metric) { return mean(of_each_rank(ranks, metric)); };
  return {
      .mid = mean_of([](const Ranks& r) { return r.mid(); }),
      .optimistic = mean_of([](const Ranks& r) { return static_cast<double>(r.optimistic()); }),
      .pessimistic = mean_of([](const Ranks& r) { return static_cast<double>(r.pessimistic()); }),
      .accuracy_if_ties_count_as_right = mean_of([](const Ranks& r) { return r.optimistic() == 1 ? 1.0 : 0.0; }),
      .accuracy_if_ties_count_as_wrong = mean_of([](const Ranks& r) { return r.pessimistic() == 1 ? 1.0 : 0.0; }),
      .examples_with_ties = std::count_if(ranks.begin(), ranks.end(), [](const Ranks& r) { return r.num_equal > 0; })};
}

}  // namespace allreco::eval
