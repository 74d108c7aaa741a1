#include <algorithm>

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
  if (report.scores.empty()) return rows + baseline_rows(report.baselines, "accuracy");
  for (const auto& [name, title] : {std::pair("log_likelihood", "model, log-likelihood"),
                                    std::pair("log_likelihood_per_token", "model, log-likelihood per token"),
                                    std::pair("option_labels", "model, labels of the options")})
    if (const auto* scores = core::find(report.scores, name))
      rows += row(title, estimate_of(scores->metrics, "accuracy"));
  return rows + baseline_rows(report.baselines, "accuracy");
}

/// What a low share of matches may come of.
std::string unfinished_rows(const GenerationReport& report) {
  std::string rows;
  if (report.num_unfinished > 0)
    rows += core::message("  {} of {} answers are unfinished: no end within {} tokens\n", report.num_unfinished,
                          report.num_examples, report.max_new_tokens);
  if (report.num_empty > 0)
    rows += core::message("  {} of {} answers are empty\n", report.num_empty, report.num_examples);
  return rows;
}

std::string catalogue_row(const std::string& name, const Estimates& metrics) {
  std::string row = core::message("  {:<40}", name);
  for (const char* metric : {"hit_rate@1", "hit_rate@10", "ndcg@10", "mrr"}) {
    const Estimate* found = core::find(metrics, metric);
    row += found ? core::message("  {:7.4f} {:>16}", found->value,
                                 core::message("[{:.4f}, {:.4f}]", found->bootstrap_95.low, found->bootstrap_95.high))
                 : std::string(26, ' ');
  }
  return row + "\n";
}

std::string catalogue_rows(const CatalogueReport& report, const DatasetDescription& dataset) {
  std::string rows = core::message(
      "ranking all {} items ({}; {} examples; items of the history {}; bootstrap over {} 95 %)\n  {:<40}",
      report.num_items, report.ranking == "none" ? report.ranking : ranking_text(report), report.num_examples,
      report.history_items == "exclude" ? "left out" : "ranked, too", dataset.num_users > 0 ? "users" : "examples", "");
  for (const char* metric : {"hit_rate@1", "hit_rate@10", "ndcg@10", "mrr"}) rows += core::message("  {:<24}", metric);
  rows += "\n";
  for (const auto& [name, scores] : report.scores) rows += catalogue_row("model, " + name, scores.values.metrics);
  for (const auto& [name, baseline] : report.baselines)
    rows += baseline.not_applicable ? core::message("  {:<40}  not applicable: {}\n", name, *baseline.not_applicable)
                                    : catalogue_row(name, baseline.values.metrics);
  return rows;
}

std::string error_rows(const GenerationReport& report) {
  std::string kinds;
  const core::Json errors = core::json_of(*report.errors);
  for (const auto& [kind, count] : errors.items())
    if (count != 0) kinds += fmt::format("{}{} {}", kinds.empty() ? "" : ", ", count.get<std::int64_t>(), kind);
  return kinds.empty() ? "" : core::message("  wrong answers: {}\n", kinds);
}

/// What costs most: the slices that lie below all examples together.
std::string slice_rows(const ErrorAnalysis& errors) {
  constexpr std::size_t kMost = 5;
  std::string rows = core::message("where {} is lost (slices; the cost is in points of all examples)\n", errors.metric);
  for (std::size_t i = 0; i < std::min(kMost, errors.slices.size()); ++i) {
    const Slice& slice = errors.slices[i];
    if (slice.cost <= 0) break;
    rows += core::message("  {:<58} n = {:<6} {:5.1f} %  {}  costs {:.1f}\n",
                          core::message("{}: {}", slice.property, slice.value), slice.num_examples,
                          100 * slice.metric.value, percent_interval(slice.metric.wilson_95), 100 * slice.cost);
  }
  return rows;
}

std::string generation_rows(const GenerationReport& report, const DatasetDescription& dataset) {
  return heading(core::message("exact match of greedy answers ({} examples)", report.num_examples), dataset) +
         row("model, generated answer", estimate_of(report.metrics, "exact_match")) + unfinished_rows(report) +
         (report.errors ? error_rows(report) : "") + baseline_rows(report.baselines, "exact_match");
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
  if (document.catalogue) text += catalogue_rows(*document.catalogue, dataset);
  if (document.generation) text += generation_rows(*document.generation, dataset);
  if (document.errors) text += slice_rows(*document.errors);
  for (const std::string& warning : document.warnings) text += core::message("warning: {}\n", warning);
  return text;
}

}  // namespace allreco::eval
