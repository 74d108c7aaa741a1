#include "audit/verdicts.h"

#include <fmt/format.h>

#include <algorithm>

namespace allreco::audit {

namespace {

std::string percent(double share) { return fmt::format("{:.1f} %", 100 * share); }

Verdict verdict(const char* name, bool warns, std::string text, std::string threshold) {
  return {name, warns ? "warning" : "ok", std::move(text), std::move(threshold)};
}

Verdict not_applicable(const char* name, std::string why) { return {name, "not_applicable", std::move(why), ""}; }

bool is_above(const Difference& difference, double margin) {
  return difference.mean > margin && difference.mean > kSigmas * difference.standard_error;
}

std::string rule_threshold() {
  return fmt::format("more than {:.0f} points above the better of chance and popularity, and {:.1f} standard errors",
                     100 * kRuleMargin, kSigmas);
}

std::string beside(const OptionsReport& report) {
  return fmt::format("(chance {}, popularity {})", percent(report.chance), percent(report.popularity));
}

Verdict judge_surface(const RuleResults& rules) {
  const OptionsReport& report = rules.report;
  const RuleReport& best = *core::find(report.rules, rules.best_surface_rule);
  const bool warns = is_above(rules.surface_above_reference, kRuleMargin);
  return verdict("surface_rules", warns,
                 fmt::format("{}: the rule `{}` ({}) is right in {} {}",
                             warns ? "the options' surface gives the answer away" : "no surface rule stands out",
                             rules.best_surface_rule, best.description, percent(best.accuracy_tested), beside(report)),
                 rule_threshold());
}

Verdict judge_combination(const RuleResults& rules) {
  const CombinationReport& combination = rules.report.combination;
  std::string terms;
  for (const Term& term : combination.terms)
    terms += fmt::format("{}{}{}", terms.empty() ? "" : ", ", term.weight < 0 ? "little " : "much ", term.feature);
  if (terms.empty()) terms = "nothing: no feature tells the right option in train";
  return verdict("combination", is_above(rules.combination_above_reference, kRuleMargin),
                 fmt::format("a combination learned on train that does not look at the shopper ({}) is right in {} {}",
                             terms, percent(combination.accuracy), beside(rules.report)),
                 rule_threshold());
}

Verdict judge_popularity(const RuleResults& rules) {
  const bool warns = is_above(rules.popularity_above_chance, kPopularityMargin);
  return verdict("popularity", warns,
                 fmt::format("the option most often right in train is right in {}, chance is {}{}",
                             percent(rules.report.popularity), percent(rules.report.chance),
                             warns ? ": wrong options are rarer items than right ones; --negatives matched or "
                                     "popularity draws them alike"
                                   : ""),
                 fmt::format("more than {:.0f} points above chance, and {:.1f} standard errors",
                             100 * kPopularityMargin, kSigmas));
}

Verdict judge_positions(const RuleResults& rules) {
  const RuleReport* best = core::find(rules.report.rules, "best_position_of_train");
  if (best == nullptr) return not_applicable("position", "nothing to learn the places from");
  // Of independent examples, beside the chance of a place.
  const double n = static_cast<double>(rules.report.num_examples);
  const Difference above{best->accuracy - rules.report.chance,
                         std::sqrt(rules.report.chance * (1 - rules.report.chance) / n)};
  return verdict(
      "position", is_above(above, kRuleMargin),
      fmt::format("{}: right in {}, chance is {}", best->description, percent(best->accuracy),
                  percent(rules.report.chance)),
      fmt::format("more than {:.0f} points above chance, and {:.1f} standard errors", 100 * kRuleMargin, kSigmas));
}

void judge_rules(AuditDocument& document, const core::Part<RuleResults>& rules) {
  if (!rules) {
    for (const char* name : {"surface_rules", "combination", "popularity", "position"})
      document.verdicts.push_back(not_applicable(name, rules.not_applicable));
    return;
  }
  document.verdicts.push_back(judge_surface(*rules));
  document.verdicts.push_back(judge_combination(*rules));
  document.verdicts.push_back(judge_popularity(*rules));
  document.verdicts.push_back(judge_positions(*rules));
}

Verdict judge_share(const char* name, const Share& share, double most, const std::string& what) {
  return verdict(name, share.share > most,
                 fmt::format("{} of {} ({}) {}", share.count, share.of, percent(share.share), what),
                 fmt::format("more than {}", percent(most)));
}

/// The split with the largest share; none where there is no other split than train.
void judge_duplicates(AuditDocument& document, const char* name, const core::Named<Share>& shares,
                      const std::string& what) {
  const auto worst = std::max_element(shares.begin(), shares.end(),
                                      [](const auto& a, const auto& b) { return a.second.share < b.second.share; });
  document.verdicts.push_back(
      worst == shares.end()
          ? not_applicable(name, "there is no train split beside another one")
          : judge_share(name, worst->second, kDuplicates, fmt::format("examples of {} {}", worst->first, what)));
}

void judge_visibility(AuditDocument& document) {
  const Visibility& visibility = document.visibility;
  const std::string tested = document.examined.tested_on;
  document.verdicts.push_back(
      judge_share("answers_in_own_prompts", visibility.answer_in_own_prompt, kVisible,
                  fmt::format("answers of {} stand in their own prompt, options aside: repeat purchases, or the answer "
                              "itself",
                              tested)));
  const std::string who = visibility.shoppers_known_by == "user"
                              ? "of the same shopper"
                              : "that holds half of their history, so likely of the same shopper";
  document.verdicts.push_back(
      judge_share("answers_in_train_prompts", visibility.answer_in_train_prompt_of_shopper, kVisible,
                  fmt::format("answers of {} stand in a train prompt {}, options aside", tested, who)));
}

void judge_split(AuditDocument& document) {
  const std::string& method = document.examined.split_method;
  document.verdicts.push_back(verdict(
      "split", method == "random",
      method == "random" ? "split at random: examples of one shopper are in several splits, and the future is known"
                         : fmt::format("split by {}", method),
      "random"));
  if (!document.times) {
    for (const char* name : {"future_in_train", "same_day_ties"})
      document.verdicts.push_back(not_applicable(name, document.times.not_applicable));
    return;
  }
  const Times& times = *document.times;
  document.verdicts.push_back(
      judge_share("future_in_train", times.before_a_train_target, kVisible, "targets lie before some target of train"));
  const double tied = times.tied_with_last_item.value_or(times.same_time_as_another_target.share);
  document.verdicts.push_back(verdict(
      "same_day_ties", tied > kTied,
      fmt::format("{} of the targets have the time of {}: which came first is a convention", percent(tied),
                  times.tied_with_last_item ? "the newest item of their history" : "another target of the shopper"),
      fmt::format("more than {}", percent(kTied))));
}

}  // namespace

void judge(AuditDocument& document, const core::Part<RuleResults>& rules) {
  judge_rules(document, rules);
  document.verdicts.push_back(judge_share("majority", document.base_rates.majority_accuracy, kMajority,
                                          "answers are the most frequent one of train"));
  judge_visibility(document);
  judge_duplicates(document, "exact_duplicates", document.duplicates.exact, "stand in train, prompt and answer");
  judge_duplicates(document, "near_duplicates", document.duplicates.near,
                   fmt::format("have a near copy in train (history and answer, Jaccard of at least {})",
                               document.duplicates.near_threshold));
  judge_split(document);
  document.num_warnings = std::count_if(document.verdicts.begin(), document.verdicts.end(),
                                        [](const Verdict& v) { return v.status == "warning"; });
}

}  // namespace allreco::audit
