#include "eval/catalogue_report.h"

#include <ATen/Parallel.h>
#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "core/parallel.h"
#include "eval/baselines.h"
#include "eval/gain_table.h"
#include "eval/rank_columns.h"

namespace allreco::eval {

namespace {

constexpr std::int64_t kCatalogueCutoffs[] = {1, 5, 10, 20, 50, 100};
constexpr std::int64_t kPromisedCutoff = 10;  // also of a catalogue that has no more items, as training and compare do
constexpr std::int64_t kNumSampled = 99, kSampledCutoff = 10;

/// The examples that were ranked, with what all scorers share.
class Reporter {
 public:
  Reporter(const CatalogueTask& task, const CatalogueRanking& ranking, const TrainSequences& train)
      : task_(task), ranking_(ranking), train_(train) {
    std::vector<std::optional<std::uint64_t>> users;
    for (const std::size_t i : ranking.examples) users.push_back(task.examples[i].user);
    clusters_ = clusters_of(users);
  }

  CatalogueMetrics metrics_of(std::span<const CatalogueRank> ranks) {
    const bool excludes = task_.options.excludes_history();
    std::vector<Ranks> shown, other;
    for (const CatalogueRank& rank : ranks) {
      shown.push_back(excludes ? rank.without_history : rank.among_all);
      other.push_back(excludes ? rank.among_all : rank.without_history);
    }
    CatalogueMetrics report{.mean_rank = mean(of_each_rank(shown, [](const Ranks& r) { return r.mid(); }))};
    std::vector<Column> both = columns(shown);  // one bootstrap: the draws cost more than the sums
    const std::ptrdiff_t num_shown = std::ssize(both);
    if (ranking_.knows_histories) std::ranges::move(columns(other), std::back_inserter(both));
    report.metrics = estimates_of(std::move(both), clusters_, task_.bootstrap);
    report.other_rule.assign(report.metrics.begin() + num_shown, report.metrics.end());
    report.metrics.erase(report.metrics.begin() + num_shown, report.metrics.end());
    report.recommended = recommended(ranks);
    return report;
  }

 private:
  std::vector<Column> columns(std::span<const Ranks> ranks) {
    std::vector<Column> columns;
    for (const std::int64_t k : kCatalogueCutoffs) {
      if (!is_within_beams(k, ranking_.num_beams)) break;
      if (k >= ranking_.num_items && k != kPromisedCutoff) continue;
      columns.push_back(
          {fmt::format("hit_rate@{}", k), of_each_rank(ranks, [k](auto& r) { return hit_rate(r, k); }), true});
      if (k > 1)
        columns.push_back({fmt::format("ndcg@{}", k), of_each_rank(ranks, [k](auto& r) { return ndcg(r, k); })});
    }
    columns.push_back({"mrr", of_each_rank(ranks, reciprocal_rank)});
    columns.push_back(
        {fmt::format("hit_rate@{}_among_{}_sampled", kSampledCutoff, kNumSampled),
         of_each_rank(ranks, [&](const Ranks& r) { return sampled_hit_rates(r.num_candidates).expectation(r); }),
         true});
    return columns;
  }

  const GainTable& sampled_hit_rates(std::int64_t n) {
    const auto found = sampled_hit_rates_.find(n);
    if (found != sampled_hit_rates_.end()) return found->second;
    const auto gain = [n](std::int64_t rank) { return sampled_hit_rate(rank, n, kNumSampled, kSampledCutoff); };
    return sampled_hit_rates_.emplace(n, GainTable(n, gain)).first->second;
  }

  RecommendedReport recommended(std::span<const CatalogueRank> ranks) const {
    RecommendedReport report{.length = kNumRecommended};
    std::vector<std::int64_t> times(task_.catalogue.size());
    double total = 0, novel = 0, unseen = 0, purchases = 0;
    for (std::size_t place = 0; place < ranks.size(); ++place) {
      const auto history = known_history(task_.examples[ranking_.examples[place]]);
      for (const std::uint32_t item : ranks[place].recommended) {
        ++total;
        ++times[item];
        novel += std::find(history.begin(), history.end(), item) == history.end();
        if (train_.not_applicable) continue;
        unseen += train_.purchases[item] == 0;
        purchases += static_cast<double>(train_.purchases[item]);
      }
    }
    report.num_different_items = std::count_if(times.begin(), times.end(), [](std::int64_t t) { return t > 0; });
    report.coverage = static_cast<double>(report.num_different_items) / static_cast<double>(times.size());
    if (total == 0) return report;
    report.share_not_in_history = novel / total;
    if (train_.not_applicable) return report;
    report.share_unseen_in_train = unseen / total;
    report.mean_train_purchases = purchases / total;
    return report;
  }

  const CatalogueTask& task_;
  const CatalogueRanking& ranking_;
  const TrainSequences& train_;
  Clusters clusters_;
  std::map<std::int64_t, GainTable> sampled_hit_rates_;  // by the number of items ranked
};

/// Ranks by both rules; the history is short, so what it takes away is counted apart.
CatalogueRank rank_of(std::span<const double> scores, const EvalExample& example) {
  const double target = scores[*example.target];
  CatalogueRank rank;
  rank.among_all.num_candidates = std::ssize(scores);
  for (const double score : scores) {
    rank.among_all.num_higher += score > target;
    rank.among_all.num_equal += score == target;
  }
  --rank.among_all.num_equal;  // the target itself
  rank.without_history = rank.among_all;
  std::vector<std::uint32_t> history(known_history(example).begin(), known_history(example).end());
  std::sort(history.begin(), history.end());
  history.erase(std::unique(history.begin(), history.end()), history.end());
  for (const std::uint32_t item : history) {
    if (item == *example.target) continue;
    --rank.without_history.num_candidates;
    rank.without_history.num_higher -= scores[item] > target;
    rank.without_history.num_equal -= scores[item] == target;
  }
  return rank;
}

}  // namespace

std::vector<CatalogueRank> ranks_of_baseline(const CatalogueTask& task, const CatalogueRanking& ranking,
                                             const ItemBaseline& baseline) {
  std::vector<CatalogueRank> ranks(ranking.examples.size());
  core::parallel_for(std::ssize(ranks), at::get_num_threads(), [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> scores(task.catalogue.size());
    std::vector<bool> left_out(scores.size(), false);
    for (auto place = static_cast<std::size_t>(begin); place < static_cast<std::size_t>(end); ++place) {
      const EvalExample& example = task.examples[ranking.examples[place]];
      baseline.score(example, scores);
      ranks[place] = rank_of(scores, example);
      const auto mark_history = [&](bool mark) {
        if (task.options.excludes_history())
          for (const std::uint32_t item : known_history(example)) left_out[item] = mark;
      };
      mark_history(true);
      ranks[place].recommended = best_items(scores, kNumRecommended, left_out);
      mark_history(false);
    }
  });
  return ranks;
}

CatalogueReport catalogue_report(const CatalogueTask& task, const CatalogueRanking& ranking,
                                 const std::vector<ItemBaseline>& baselines, const TrainSequences& train) {
  CatalogueReport report{.ranking = ranking.kinds.empty() ? "none" : task.options.ranking,
                         .num_examples = std::ssize(ranking.examples),
                         .num_examples_left_out = std::ssize(task.examples) - std::ssize(ranking.examples),
                         .num_items = ranking.num_items,
                         .num_titles = ranking.num_titles,
                         .num_beams = ranking.num_beams,
                         .num_tokens_computed = ranking.num_tokens_computed,
                         .num_tokens_one_by_one = ranking.num_tokens_one_by_one,
                         .history_items = task.options.history_items,
                         .num_targets_in_history = ranking.num_targets_in_history,
                         .ties = "expectation over random tie-breaking"};
  if (!train.not_applicable)
    report.num_targets_unseen_in_train =
        std::count_if(ranking.examples.begin(), ranking.examples.end(),
                      [&](std::size_t i) { return train.purchases[*task.examples[i].target] == 0; });
  Reporter reporter(task, ranking, train);
  for (std::size_t kind = 0; kind < ranking.kinds.size(); ++kind)
    report.scores.emplace_back(
        ranking.kinds[kind].name,
        CatalogueScoresReport{ranking.kinds[kind].formula, reporter.metrics_of(ranking.ranks[kind])});
  if (!report.scores.empty()) report.headline = report.scores.front().first;
  for (const ItemBaseline& baseline : baselines) {
    CatalogueBaselineReport of_baseline{baseline.description, baseline.not_applicable};
    if (!baseline.not_applicable) of_baseline.values = reporter.metrics_of(ranks_of_baseline(task, ranking, baseline));
    report.baselines.emplace_back(baseline.name, std::move(of_baseline));
  }
  if (!ranking.base_ranks.empty())
    report.baselines.emplace_back(
        kBaseModel, CatalogueBaselineReport{kBaseModelDescription, {}, reporter.metrics_of(ranking.base_ranks)});
  return report;
}

}  // namespace allreco::eval
