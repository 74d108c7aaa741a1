#include "eval/training_metrics.h"

#include "core/check.h"
#include "eval/calibration.h"
#include "eval/catalogue.h"
#include "eval/ranking.h"

namespace allreco::eval {

namespace {

/// Whether one of the examples to evaluate is such.
template <class IsSuch>
bool has_example(const data::Dataset& dataset, const TrainingMetricsOptions& options, const IsSuch& is_such) {
  const std::int64_t count = num_to_evaluate(dataset, options.max_eval_samples);
  for (std::int64_t i = 0; i < count; ++i)
    if (is_such(dataset.example(i))) return true;
  return false;
}

/// What ranking needs of a split.
struct Split {
  std::vector<data::Item> catalogue = {};
  std::vector<EvalExample> examples = {};
};

Split read_split(dist::Session& session, const model::Decoder& decoder, const data::Dataset& dataset,
                 const TrainingMetricsOptions& options) {
  Split split;
  session.together("reading the examples", [&] {
    require_metric(dataset, options);
    split.catalogue = data::read_catalogue(dataset.info());
    split.examples = read_eval_examples(dataset, num_to_evaluate(dataset, options.max_eval_samples),
                                        end_tokens(dataset.info(), decoder.config().eos_token_ids));
  });
  return split;
}

core::Named<double> among_candidates(dist::Session& session, model::Decoder& decoder, const data::Dataset& dataset,
                                     const TrainingMetricsOptions& options) {
  const Split split = read_split(session, decoder, dataset, options);
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
  core::require(!ranking.not_applicable, "require_metric asks for what can be ranked");
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

void require_metric(const data::Dataset& dataset, const TrainingMetricsOptions& options) {
  if (options.metric == "loss") return;
  const std::int64_t num_items = dataset.info().num_items;
  if (num_items == 0)
    core::user_error(
        "metric_for_best_model = {}: the dataset {} has no items.jsonl, so nothing can be ranked; use loss",
        options.metric, dataset.info().directory.string());
  if (options.metric == "accuracy") {
    if (!dataset.has_candidates() || !has_example(dataset, options, has_rankable_candidates))
      core::user_error(
          "metric_for_best_model = accuracy: no example of the split has candidates of which the right one is known; "
          "use ndcg@10, in the whole catalogue, or loss");
    return;
  }
  const auto is_in_catalogue = [&](const data::Example& e) { return e.target && *e.target < num_items; };
  if (!has_example(dataset, options, is_in_catalogue))
    core::user_error("metric_for_best_model = {}: no example of the split says which item was bought; use loss",
                     options.metric);
}

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
