#include "eval/generation_report.h"

#include <algorithm>
#include <set>

#include "core/check.h"
#include "eval/baselines.h"
#include "eval/error_analysis.h"

namespace allreco::eval {

namespace {

constexpr const char* kByText = "equal texts, white space at the ends stripped";
constexpr const char* kByIds =
    "equal token ids (the dataset has no tokenizer); where no EOS ends the right answer, the first ids of its length";

BaselineReports baseline_reports(std::vector<AnswerBaseline> baselines, const Clusters& clusters,
                                 const BootstrapOptions& bootstrap) {
  BaselineReports reports;
  for (AnswerBaseline& baseline : baselines) {
    BaselineReport report{.description = baseline.description, .not_applicable = baseline.not_applicable};
    if (!baseline.not_applicable)
      report.metrics = estimates_of({{"exact_match", std::move(baseline.correct), true}}, clusters, bootstrap);
    reports.emplace_back(baseline.name, std::move(report));
  }
  return reports;
}

/// Counts kinds of errors; whether each answer is some item's title.
Column add_errors(GenerationReport& report, std::span<const EvalExample> examples,
                  std::span<const std::vector<data::TokenId>> answers, const std::vector<data::Item>& catalogue,
                  const data::Tokenizer& tokenizer) {
  std::set<std::string_view> titles;
  for (const data::Item& item : catalogue) titles.insert(item.title);
  std::vector<std::string> said, right;
  Column valid{"valid", {}, true};
  for (std::size_t i = 0; i < examples.size(); ++i) {
    said.push_back(strip(decode_any(tokenizer, answers[i])));
    right.push_back(strip(decode_any(tokenizer, examples[i].answer)));
    valid.values.push_back(titles.contains(said.back()) ? 1.0 : 0.0);
  }
  report.errors = generation_errors(examples, said, right, catalogue);
  return valid;
}

void warn(const GenerationReport& report, const GenerationPlan& plan, std::vector<std::string>& warnings) {
  if (plan.num_out_of_reach > 0)
    warnings.push_back(
        fmt::format("{} right answers are longer than generation may get (max_new_tokens = {}, or the "
                    "model's context): they cannot be matched",
                    plan.num_out_of_reach, plan.max_new_tokens));
  warn_of_baselines("exact match", report.metrics, report.baselines, "exact_match", warnings);
}

}  // namespace

GenerationReport generation_report(const data::DatasetInfo& info, std::span<const EvalExample> examples,
                                   std::span<const std::vector<data::TokenId>> answers,
                                   const std::vector<data::Item>& catalogue, const data::Tokenizer* tokenizer,
                                   const GenerationPlan& plan, const BootstrapOptions& bootstrap,
                                   std::vector<std::string>& warnings) {
  core::require(answers.size() == examples.size(), "one generated answer a example");
  GenerationReport report{.decoding = "greedy",
                          .match = tokenizer ? kByText : kByIds,
                          .num_examples = std::ssize(examples),
                          .max_new_tokens = plan.max_new_tokens,
                          .longest_answer_tokens = plan.longest_answer,
                          .num_cut_by_context = plan.num_cut_by_context};
  Column exact{"exact_match", {}, true};
  std::vector<std::optional<std::uint64_t>> users;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    exact.values.push_back(is_exact_match(examples[i], answers[i], tokenizer) ? 1.0 : 0.0);
    users.push_back(examples[i].user);
    report.num_unfinished += std::ssize(answers[i]) >= plan.limits[i];
    report.num_empty += answers[i].empty();
  }
  const Clusters clusters = clusters_of(users);
  std::vector<Column> columns;
  columns.push_back(std::move(exact));
  if (tokenizer && !catalogue.empty()) columns.push_back(add_errors(report, examples, answers, catalogue, *tokenizer));
  report.metrics = estimates_of(std::move(columns), clusters, bootstrap);
  report.baselines = baseline_reports(answer_baselines(info, examples, catalogue), clusters, bootstrap);
  warn(report, plan, warnings);
  return report;
}

}  // namespace allreco::eval
