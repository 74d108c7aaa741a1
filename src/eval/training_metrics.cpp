#include "eval/training_metrics.h"

#include <algorithm>

#include "core/check.h"
#include "eval/calibration.h"
#include "eval/catalogue.h"
#include "eval/ranking.h"

namespace allreco::eval {

namespace {

/// What ranking needs of a split.
struct Split {
  std::vector<data::Item> catalogue = {};
  std::vector<EvalExample> examples = {};
};

Split read_split(dist::Session& session, const model::Decoder& decoder, const data::Dataset& dataset,
                 const TrainingMetricsOptions& options) {
  Split split;
  session.together("reading the examples", [&] {
    split.catalogue = data::read_catalogue(dataset.info());
    split.examples = read_eval_examples(dataset, num_to_evaluate(dataset, options.max_eval_samples),
                                        end_tokens(dataset.info(), decoder.config().eos_token_ids));
  });
  return split;
}

core::Named<double> among_candidates(dist::Session& session, model::Decoder& decoder, const data::Dataset& dataset,
                                     const TrainingMetricsOptions& options) {
  const Split split = read_split(session, decoder, dataset, options);
  const bool has_any = std::any_of(split.examples.begin(), split.examples.end(),
                                   [](const EvalExample& e) { return !e.candidates.empty(); });
  if (!has_any || split.catalogue.empty())
    core::user_error("metric_for_best_model = accuracy: the examples of the split have no candidates; use ndcg@10");
  const auto scores =
      score_candidates(session, decoder, dataset, split.examples, split.catalogue, options.max_tokens_per_batch);
  std::vector<double> right, losses;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const EvalExample& example = split.examples[i];
    if (example.candidates.empty()) continue;
    right.push_back(hit_rate(ranks_of(scores[i].log_likelihood, example.gold), 1));
    losses.push_back(log_loss(scores[i].log_likelihood, example.gold));
  }
  return {{"accuracy", mean(right)}, {"log_loss", mean(losses)}};
}

core::Named<double> in_catalogue(dist::Session& session, model::Decoder& decoder, const data::Dataset& dataset,
                                 const TrainingMetricsOptions& options) {
  const Split split = read_split(session, decoder, dataset, options);
  CatalogueOptions exhaustive;
  exhaustive.ranking = "exhaustive";
  const CatalogueRanking ranking = rank_catalogue(session, decoder, dataset, split.examples, split.catalogue,
                                                  exhaustive, options.max_tokens_per_batch);
  if (ranking.not_applicable)
    core::user_error("metric_for_best_model = {}: {}", options.metric, *ranking.not_applicable);
  double hits = 0, gain = 0, reciprocal = 0;
  for (const CatalogueRank& rank : ranking.ranks.front()) {
    hits += hit_rate(rank.among_all, 10);
    gain += ndcg(rank.among_all, 10);
    reciprocal += reciprocal_rank(rank.among_all);
  }
  const auto n = static_cast<double>(ranking.examples.size());
  return {{"hit_rate@10", hits / n}, {"ndcg@10", gain / n}, {"mrr", reciprocal / n}};
}

}  // namespace

const std::vector<std::string>& training_metric_names() {
  static const std::vector<std::string> names = {"loss", "accuracy", "hit_rate@10", "ndcg@10", "mrr"};
  return names;
}

bool greater_is_better(const std::string& metric) { return metric != "loss"; }

TrainingMetrics training_metrics(dist::Session& session, model::Decoder& decoder, const data::Dataset& dataset,
                                 const TrainingMetricsOptions& options) {
  TrainingMetrics metrics;
  metrics.loss = evaluate_loss(session, decoder, dataset, options.max_tokens_per_batch, options.max_eval_samples);
  metrics.value = metrics.loss.mean_nll();
  if (options.metric == "loss") return metrics;
  metrics.ranking = options.metric == "accuracy" ? among_candidates(session, decoder, dataset, options)
                                                 : in_catalogue(session, decoder, dataset, options);
  const double* value = core::find(metrics.ranking, options.metric);
  core::require(value != nullptr, "a metric of training_metric_names()");
  metrics.value = *value;
  return metrics;
}

}  // namespace allreco::eval
