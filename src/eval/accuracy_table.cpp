#include "core/text.h"
#include "eval/document.h"

namespace allreco::eval {

namespace {

std::string percent_interval(const std::optional<Interval>& interval) {
  if (!interval) return std::string(14, ' ');
  return core::message("[{:5.1f}, {:5.1f}]", 100 * interval->low, 100 * interval->high);
}

std::string row(const std::string& name, const Estimate& estimate) {
  return core::message("  {:<40} {:5.1f} %  {}  {}\n", name, 100 * estimate.value, percent_interval(estimate.wilson_95),
                       percent_interval(estimate.bootstrap_95));
}

std::string baseline_rows(const BaselineReports& baselines, const char* metric) {
  std::string rows;
  for (const auto& [name, baseline] : baselines) {
    rows += baseline.not_applicable ? core::message("  {:<40} not applicable: {}\n", name, *baseline.not_applicable)
                                    : row(name, estimate_of(baseline.metrics, metric));
  }
  return rows;
}

std::string heading(const std::string& title, const DatasetDescription& dataset) {
  return core::message("{}\n  {:<40} {:>7}  {:<14}  bootstrap over {} 95 %\n", title, "", "right", "Wilson 95 %",
                       dataset.num_users > 0 ? "users" : "examples");
}

std::string candidate_rows(const CandidateReport& report, const DatasetDescription& dataset) {
  const auto& [fewest, most, mean] = report.lists.num_candidates;
  const std::string range = fewest == most ? fmt::format("{}", most) : fmt::format("{} to {}", fewest, most);
  std::string rows = heading(core::message("accuracy among {} candidates ({} examples; negatives: {}; ties by "
                                           "expectation)",
                                           range, report.lists.num_examples, report.negatives),
                             dataset);
  for (const auto& [name, title] : {std::pair("log_likelihood", "model, log-likelihood"),
                                    std::pair("log_likelihood_per_token", "model, log-likelihood per token")})
    if (const auto* scores = core::find(report.scores, name))
      rows += row(title, estimate_of(scores->metrics, "accuracy"));
  return rows + baseline_rows(report.baselines, "accuracy");
}

std::string generation_rows(const GenerationReport& report, const DatasetDescription& dataset) {
  return heading(core::message("exact match of greedy answers ({} examples)", report.num_examples), dataset) +
         row("model, generated answer", estimate_of(report.metrics, "exact_match")) +
         baseline_rows(report.baselines, "exact_match");
}

}  // namespace

std::string accuracy_table(const EvaluationDocument& document) {
  const DatasetDescription& dataset = document.dataset;
  std::string text = core::message("{}: {} of {} examples, split by {}\n", dataset.split,
                                   dataset.num_examples_evaluated, dataset.num_examples, dataset.split_by);
  if (document.loss)
    text += core::message("loss {:.4f} nats a token, perplexity {:.3f} ({} supervised tokens)\n",
                          document.loss->mean_nll, document.loss->perplexity, document.loss->supervised_tokens);
  text += document.candidates
              ? candidate_rows(*document.candidates, dataset)
              : core::message("accuracy among candidates: not applicable: {}\n", document.candidates.not_applicable);
  if (document.generation) text += generation_rows(*document.generation, dataset);
  for (const std::string& warning : document.warnings) text += core::message("warning: {}\n", warning);
  return text;
}

}  // namespace allreco::eval
