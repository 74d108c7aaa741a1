#include <fmt/core.h>

#include "eval/evaluate.h"

namespace allreco::eval {

namespace {

using core::Json;

std::string percent_interval(const Json& interval) {
  return fmt::format("[{:5.1f}, {:5.1f}]", 100 * interval[0].get<double>(), 100 * interval[1].get<double>());
}

std::string row(const std::string& name, const Json& estimate) {
  return fmt::format("  {:<40} {:5.1f} %  {}  {}\n", name, 100 * estimate["value"].get<double>(),
                     percent_interval(estimate["wilson_95"]), percent_interval(estimate["bootstrap_95"]));
}

std::string baseline_rows(const Json& baselines, const char* metric) {
  std::string rows;
  for (const auto& [name, baseline] : baselines.items()) {
    rows += baseline.contains("not_applicable")
                ? fmt::format("  {:<40} not applicable: {}\n", name, baseline["not_applicable"].get<std::string>())
                : row(name, baseline[metric]);
  }
  return rows;
}

std::string heading(const std::string& title) {
  return fmt::format("{}\n  {:<40} {:>7}  {:<14}  {}\n", title, "", "right", "Wilson 95 %",
                     "bootstrap over users 95 %");
}

std::string candidate_rows(const Json& report) {
  const Json& scores = report["scores"];
  const Json& count = report["num_candidates"];
  const std::string range =
      count["fewest"] == count["most"] ? count["most"].dump() : count["fewest"].dump() + " to " + count["most"].dump();
  return heading(fmt::format("accuracy among {} candidates ({} examples; negatives: {}; ties by expectation)", range,
                             report["num_examples"].dump(), report["negatives"].get<std::string>())) +
         row("model, log-likelihood", scores["log_likelihood"]["accuracy"]) +
         row("model, log-likelihood per token", scores["log_likelihood_per_token"]["accuracy"]) +
         baseline_rows(report["baselines"], "accuracy");
}

std::string generation_rows(const Json& report) {
  return heading(fmt::format("exact match of greedy answers ({} examples)", report["num_examples"].dump())) +
         row("model, generated answer", report["exact_match"]) + baseline_rows(report["baselines"], "exact_match");
}

}  // namespace

std::string accuracy_table(const core::Json& document) {
  const Json& dataset = document["dataset"];
  const Json& loss = document["loss"];
  std::string text = fmt::format(
      "{}: {} of {} examples, split by {}\nloss {:.4f} nats a token, perplexity {:.3f} ({} supervised tokens)\n",
      dataset["split"].get<std::string>(), dataset["num_examples_evaluated"].dump(), dataset["num_examples"].dump(),
      dataset["split_by"].get<std::string>(), loss["mean_nll"].get<double>(), loss["perplexity"].get<double>(),
      loss["supervised_tokens"].dump());
  if (document.contains("candidates"))
    text += document["candidates"].contains("not_applicable")
                ? fmt::format("accuracy among candidates: not applicable: {}\n",
                              document["candidates"]["not_applicable"].get<std::string>())
                : candidate_rows(document["candidates"]);
  if (document.contains("generation") && document["generation"].contains("exact_match"))
    text += generation_rows(document["generation"]);
  for (const Json& warning : document["warnings"]) text += fmt::format("warning: {}\n", warning.get<std::string>());
  return text;
}

}  // namespace allreco::eval
