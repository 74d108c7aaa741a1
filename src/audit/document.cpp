#include "audit/document.h"

#include "core/text.h"

namespace allreco::audit {

namespace {

constexpr std::size_t kMostRules = 12;  // in the table

struct Accuracy {
  double value, tested;
  std::optional<eval::Interval> wilson;
  eval::Interval bootstrap;
};

std::string percent_row(const std::string& name, const Accuracy& accuracy, const std::string& note) {
  const auto interval = [](const eval::Interval& i) {
    return core::message("[{:5.1f}, {:5.1f}]", 100 * i.low, 100 * i.high);
  };
  return core::message("  {:<30} {:5.1f} %  {}  {}  {:5.1f} %  {}\n", name, 100 * accuracy.value,
                       accuracy.wilson ? interval(*accuracy.wilson) : std::string(14, ' '),
                       interval(accuracy.bootstrap), 100 * accuracy.tested, note);
}

std::string share_row(const std::string& what, const Share& share) {
  return core::message("  {:<58} {:>8} of {:<8} {:5.1f} %\n", what, share.count, share.of, 100 * share.share);
}

std::string combination_row(const char* name, const CombinationReport& combination) {
  std::string terms;
  for (const Term& term : combination.terms)
    terms += fmt::format("{}{:+.2f} {}", terms.empty() ? "" : " ", term.weight, term.feature);
  return percent_row(name,
                     {combination.accuracy, combination.accuracy, combination.wilson_95, combination.bootstrap_95},
                     terms.empty() ? "no feature helps" : terms);
}

std::string option_rows(const OptionsReport& report, const Examined& examined) {
  std::string rows = core::message(
      "rules over the options: learned on {}, tested on {} ({} examples); those that learn nothing, on all splits\n"
      "  {:<30} {:>7}  {:<14}  {:<14}  {:>7}\n",
      examined.learned_on, examined.tested_on, report.num_examples, "", "right", "Wilson 95 %", "bootstrap 95 %",
      "tested");
  rows += core::message("  {:<30} {:5.1f} %{:>41.1f} %\n", "chance", 100 * report.chance, 100 * report.chance);
  const auto add = [&](const auto& named) {
    const auto& [name, rule] = named;
    rows += percent_row(name, {rule.accuracy, rule.accuracy_tested, rule.wilson_95, rule.bootstrap_95},
                        core::message("{}: {}", rule.looks_at, rule.description));
  };
  std::size_t place = 0;
  for (const auto& named : report.rules)
    if (place++ < kMostRules || named.first == "most_popular_in_train") add(named);
  rows += combination_row("combination", report.combination);
  for (const auto& named : report.history_rules) add(named);
  rows += combination_row("combination with history", report.with_history);
  rows += "  the right option's place:";
  for (std::size_t i = 0; i < report.positions.tested_on.size(); ++i)
    rows += core::message("  {}: {}", i + 1, report.positions.tested_on[i]);
  return rows + "\n";
}

std::string duplicate_rows(const Duplicates& duplicates) {
  std::string rows;
  const auto add = [&](const core::Named<Share>& shares, const char* what) {
    for (const auto& [split, share] : shares) rows += share_row(core::message("{}: {}", split, what), share);
  };
  add(duplicates.exact, "stands in train, prompt and answer");
  add(duplicates.same_prompt, "prompt stands in train");
  add(duplicates.near, "near copy in train");
  return rows + share_row("train: repeats an earlier example", duplicates.within_train);
}

std::string visibility_rows(const AuditDocument& document) {
  const Visibility& visibility = document.visibility;
  return share_row("answer in its own prompt, options aside", visibility.answer_in_own_prompt) +
         share_row("answer in any train prompt, options aside", visibility.answer_in_any_train_prompt) +
         share_row(core::message("answer in a train prompt of the shopper (by {})", visibility.shoppers_known_by),
                   visibility.answer_in_train_prompt_of_shopper);
}

}  // namespace

core::Json json_of(const AuditDocument& document) {
  core::Json json = {{"format", "allreco-audit"}, {"format_version", AuditDocument::kVersion}};
  json["examined"] = core::json_of(document.examined);
  json["base_rates"] = core::json_of(document.base_rates);
  if (document.options)
    json.update(core::json_of(document.options));  // rules, combination, ... stand at the top
  else
    json["rules"] = core::json_of(document.options);
  json["duplicates"] = core::json_of(document.duplicates);
  json["visibility"] = core::json_of(document.visibility);
  json["times"] = core::json_of(document.times);
  json["verdicts"] = core::json_of(document.verdicts);
  json["num_warnings"] = document.num_warnings;
  return json;
}

std::string audit_table(const AuditDocument& document) {
  const Examined& examined = document.examined;
  std::string text = core::message("{} split by {}; options from {}: {} examples show them, {} do not", examined.source,
                                   examined.split_method, examined.options_from, examined.num_with_options,
                                   examined.num_without_options);
  text += examined.num_answer_not_in_options == 0
              ? "\n"
              : core::message(" ({} of these show a list without their answer)\n", examined.num_answer_not_in_options);
  for (const auto& [split, share] : examined.examples)
    if (share.count < share.of)
      text += core::message("looked at {} of {} examples of {}; --max_examples 0 looks at all\n", share.count, share.of,
                            split);
  text += document.options
              ? option_rows(*document.options, examined)
              : core::message("rules over the options: not applicable: {}\n", document.options.not_applicable);
  const BaseRates& rates = document.base_rates;
  text += core::message("answers\n  {} different ones; the most frequent is {}\n", rates.num_answers,
                        rates.most_frequent_answer);
  text += share_row("always the most frequent answer", rates.majority_accuracy) +
          share_row("answer that train never gives", rates.answers_not_in_train) + visibility_rows(document) +
          "duplicates\n" + duplicate_rows(document.duplicates) + "verdicts\n";
  for (const Verdict& verdict : document.verdicts)
    text += core::message("  {:<14} {:<25} {}{}\n", verdict.status, verdict.name, verdict.text,
                          verdict.threshold.empty() ? "" : core::message(" [warns: {}]", verdict.threshold));
  return text + core::message("{} warning(s)\n", document.num_warnings);
}

std::string warnings_text(const AuditDocument& document) {
  std::string text = core::message("audit: {} warning(s)\n", document.num_warnings);
  for (const Verdict& verdict : document.verdicts)
    if (verdict.status == "warning") text += core::message("  {:<25} {}\n", verdict.name, verdict.text);
  return text;
}

}  // namespace allreco::audit
