// What training measures of a split between two steps: the loss, and where it is asked for one ranking.
#pragma once
#include <cstdint>
#include <string>

#include "core/json_fields.h"
#include "data/store/dataset.h"
#include "dist/session.h"
#include "eval/loss.h"
#include "model/decoder/decoder.h"

namespace allreco::eval {

struct TrainingMetricsOptions {
  std::string metric = "loss";  // one of training_metric_names()
  std::int64_t max_tokens_per_batch = 4096;
  std::int64_t max_eval_samples = 0;  // the first so many examples; 0: all
};

/// loss; accuracy, among the examples' candidates; hit_rate@10, ndcg@10 and mrr in the whole catalogue: as evaluate has
/// them (log_likelihood, items of the history ranked, too).
const std::vector<std::string>& training_metric_names();
/// Of all but the loss.
bool greater_is_better(const std::string& metric);

/// UserError when the split has not what the metric needs: to be asked before a run starts. Reads up to the first
/// example that has it.
void require_metric(const data::Dataset& dataset, const TrainingMetricsOptions& options);

struct TrainingMetrics {
  LossResult loss;
  core::Named<double> ranking;  // what ranking gives besides: accuracy and log_loss, or hit_rate@10, ndcg@10 and mrr
  double value = 0;             // of options.metric
};

/// Collective; the same on every rank and for every world size. UserError when the split has not what the metric needs.
TrainingMetrics training_metrics(dist::Session& session, model::Decoder& decoder, const data::Dataset& dataset,
                                 const TrainingMetricsOptions& options);

}  // namespace allreco::eval
