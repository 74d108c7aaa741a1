#include "core/text.h"
#include "eval/evaluate.h"

namespace allreco::eval {

namespace {

using core::Json;

std::string percent_interval(const Json& interval) {
  return core::message("[{:5.1f}, {:5.1f}]", 100 * interval.at(0).get<double>(), 100 * interval.at(1).get<double>());
}

std::string row(const std::string& name, const Json& estimate) {
  return core::message("  {:<40} {:5.1f} %  {}  {}\n", name, 100 * estimate.at("value").get<double>(),
                       percent_interval(estimate.at("wilson_95")), percent_interval(estimate.at("bootstrap_95")));
}

std::string baseline_rows(const Json& baselines, const char* metric) {
  std::string rows;
  for (const auto& [name, baseline] : baselines.items()) {
    rows += baseline.contains("not_applicable")
                ? core::message("  {:<40} not applicable: {}\n", name, baseline.at("not_applicable").get<std::string>())
                : row(name, baseline.at(metric));
  }
  return rows;
}

std::string heading(const std::string& title) {
  return core::message("{}\n  {:<40} {:>7}  {:<14}  {}\n", title, "", "right", "Wilson 95 %",
                       "bootstrap over users 95 %");
}

std::string candidate_rows(const Json& report) {
  const Json& scores = report.at("scores");
  const Json& count = report.at("num_candidates");
  const std::string range = count.at("fewest") == count.at("most")
                                ? count.at("most").dump()
                                : count.at("fewest").dump() + " to " + count.at("most").dump();
  return heading(core::message("accuracy among {} candidates ({} examples; negatives: {}; ties by expectation)", range,
                               report.at("num_examples").dump(), report.at("negatives").get<std::string>())) +
         row("model, log-likelihood", scores.at("log_likelihood").at("accuracy")) +
         row("model, log-likelihood per token", scores.at("log_likelihood_per_token").at("accuracy")) +
         baseline_rows(report.at("baselines"), "accuracy");
}

std::string generation_rows(const Json& report) {
  return heading(core::message("exact match of greedy answers ({} examples)", report.at("num_examples").dump())) +
         row("model, generated answer", report.at("exact_match")) +
         baseline_rows(report.at("baselines"), "exact_match");
}

}  // namespace

std::string accuracy_table(const core::Json& document) {
  const Json& dataset = document.at("dataset");
  const Json& loss = document.at("loss");
  std::string text = core::message(
      "{}: {} of {} examples, split by {}\nloss {:.4f} nats a token, perplexity {:.3f} ({} supervised tokens)\n",
      dataset.at("split").get<std::string>(), dataset.at("num_examples_evaluated").dump(),
      dataset.at("num_examples").dump(), dataset.at("split_by").get<std::string>(), loss.at("mean_nll").get<double>(),
      loss.at("perplexity").get<double>(), loss.at("supervised_tokens").dump());
  if (document.contains("candidates"))
    text += document.at("candidates").contains("not_applicable")
                ? core::message("accuracy among candidates: not applicable: {}\n",
                                document.at("candidates").at("not_applicable").get<std::string>())
                : candidate_rows(document.at("candidates"));
  if (document.contains("generation") && document.at("generation").contains("exact_match"))
    text += generation_rows(document.at("generation"));
  for (const Json& warning : document.at("warnings"))
    text += core::message("warning: {}\n", warning.get<std::string>());
  return text;
}

}  // namespace allreco::eval
