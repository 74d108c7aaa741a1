#include "eval/generation_report.h"

#include <algorithm>

#include "core/check.h"
#include "eval/baselines.h"
#include "eval/estimates.h"

namespace allreco::eval {

namespace {

using core::Json;

constexpr const char* kByText = "equal texts, white space at the ends stripped";
constexpr const char* kByIds =
    "equal token ids (the dataset has no tokenizer); where no EOS ends the right answer, the first ids of its length";

void add_baselines(Json& report, EstimateTable& table, const data::DatasetInfo& info,
                   std::span<const EvalExample> examples, const std::vector<data::Item>& catalogue) {
  for (AnswerBaseline& baseline : answer_baselines(info, examples, catalogue)) {
    Json& place = report["baselines"][baseline.name];
    place["description"] = baseline.description;
    if (baseline.not_applicable) {
      place["not_applicable"] = *baseline.not_applicable;
    } else {
      table.add("/baselines/" + baseline.name + "/exact_match", std::move(baseline.correct), /*is_share=*/true);
    }
  }
}

}  // namespace

core::Json generation_report(const data::DatasetInfo& info, std::span<const EvalExample> examples,
                             std::span<const std::vector<data::TokenId>> answers,
                             const std::vector<data::Item>& catalogue, const data::Tokenizer* tokenizer,
                             const GenerationPlan& plan, const BootstrapOptions& bootstrap,
                             std::vector<std::string>& warnings) {
  core::require(answers.size() == examples.size(), "one generated answer a example");
  std::vector<double> exact;
  std::vector<std::optional<std::uint64_t>> users;
  std::int64_t unfinished = 0, empty = 0;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    exact.push_back(is_exact_match(examples[i], answers[i], tokenizer) ? 1.0 : 0.0);
    users.push_back(examples[i].user);
    unfinished += std::ssize(answers[i]) >= plan.limits[i];
    empty += answers[i].empty();
  }
  Json report = {{"decoding", "greedy"},
                 {"match", tokenizer ? kByText : kByIds},
                 {"num_examples", examples.size()},
                 {"max_new_tokens", plan.max_new_tokens},
                 {"longest_answer_tokens", plan.longest_answer},
                 {"num_cut_by_context", plan.num_cut_by_context},
                 {"num_unfinished", unfinished},
                 {"num_empty", empty}};
  EstimateTable table(clusters_of(users));
  table.add("/exact_match", std::move(exact), /*is_share=*/true);
  add_baselines(report, table, info, examples, catalogue);
  table.write_to(report, bootstrap.resamples, bootstrap.seed);
  if (plan.num_out_of_reach > 0)
    warnings.push_back(
        fmt::format("{} right answers are longer than generation may get (max_new_tokens = {}, or the "
                    "model's context): they cannot be matched",
                    plan.num_out_of_reach, plan.max_new_tokens));
  warn_of_baselines("exact match", report["exact_match"], report["baselines"], "exact_match", warnings);
  return report;
}

}  // namespace allreco::eval
