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

void add_baselines(Json& report, EstimateTable& table, const data::DatasetInfo& info, std::span<const Subject> subjects,
                   const std::vector<data::Item>& catalogue) {
  for (AnswerBaseline& baseline : answer_baselines(info, subjects, catalogue)) {
    Json& place = report["baselines"][baseline.name];
    place["description"] = baseline.description;
    if (baseline.not_applicable) {
      place["not_applicable"] = *baseline.not_applicable;
    } else {
      table.add("/baselines/" + baseline.name + "/exact_match", std::move(baseline.correct), /*is_share=*/true);
    }
  }
}

void warn_of_baselines(const Json& report, std::vector<std::string>& warnings) {
  const Json& exact = report["exact_match"];
  for (const auto& [name, baseline] : report["baselines"].items()) {
    if (baseline.contains("not_applicable")) continue;
    const double reached = baseline["exact_match"]["value"].get<double>();
    if (reached >= exact["wilson_95"][0].get<double>())
      warnings.push_back(
          fmt::format("generation: the baseline {} reaches {:.1f} %: the model's {:.1f} % is not clearly above it",
                      name, 100 * reached, 100 * exact["value"].get<double>()));
  }
}

}  // namespace

core::Json generation_report(const data::DatasetInfo& info, std::span<const Subject> subjects,
                             std::span<const std::vector<data::TokenId>> answers,
                             const std::vector<data::Item>& catalogue, const data::Tokenizer* tokenizer,
                             const GenerationPlan& plan, const BootstrapOptions& bootstrap,
                             std::vector<std::string>& warnings) {
  core::require(answers.size() == subjects.size(), "one generated answer a subject");
  std::vector<double> exact;
  std::vector<std::optional<std::uint64_t>> users;
  std::int64_t unfinished = 0, empty = 0;
  for (std::size_t i = 0; i < subjects.size(); ++i) {
    exact.push_back(is_exact_match(subjects[i], answers[i], tokenizer) ? 1.0 : 0.0);
    users.push_back(subjects[i].user);
    unfinished += std::ssize(answers[i]) >= plan.max_new_tokens;
    empty += answers[i].empty();
  }
  Json report = {{"decoding", "greedy"},
                 {"match", tokenizer ? kByText : kByIds},
                 {"num_examples", subjects.size()},
                 {"max_new_tokens", plan.max_new_tokens},
                 {"longest_answer_tokens", plan.longest_answer},
                 {"num_unfinished", unfinished},
                 {"num_empty", empty}};
  EstimateTable table(clusters_of(users));
  table.add("/exact_match", std::move(exact), /*is_share=*/true);
  add_baselines(report, table, info, subjects, catalogue);
  table.write_to(report, bootstrap.resamples, bootstrap.seed);
  if (plan.max_new_tokens < plan.longest_answer)
    warnings.push_back(fmt::format(
        "generation stops after {} tokens{}, but the longest right answer has {}: it cannot be matched",
        plan.max_new_tokens, plan.cut_by_context ? ", where the model's context ends" : "", plan.longest_answer));
  warn_of_baselines(report, warnings);
  return report;
}

}  // namespace allreco::eval
