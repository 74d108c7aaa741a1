#include "audit/rules.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "eval/metrics.h"

namespace allreco::audit {

namespace {

constexpr std::size_t kMostLearned = 50'000;  // lists to fit on: more would not change three weights

Examples with_options(const Examples& examples) {
  Examples chosen;
  std::copy_if(examples.begin(), examples.end(), std::back_inserter(chosen),
               [](const AuditExample* example) { return !example->options.empty(); });
  return chosen;
}

FeatureValues places_of_all(const FeatureValues& values) {
  FeatureValues places;
  for (const auto& of_feature : values) places.push_back(places_of(of_feature));
  return places;
}

/// The chance of each example to be right, ties broken at random.
using Successes = std::vector<double>;

struct MeasuredRule {
  std::string name;
  RuleReport report;
  Successes successes;  // where is tested
};

eval::Clusters clusters_of(const Examples& examples) {
  std::vector<std::optional<std::uint64_t>> users;
  for (const AuditExample* example : examples) users.push_back(example->user);
  return eval::clusters_of(users);
}

class Measurement {
 public:
  Measurement(const AuditData& data, const Parts& parts, const eval::BootstrapOptions& bootstrap)
      : learned_(with_options(parts.learned_on)),
        tested_(with_options(parts.tested_on)),
        all_(with_options(parts.all)),
        bootstrap_(bootstrap),
        reader_(data, learned_),
        clusters_(clusters_of(tested_)) {
    for (const AuditExample* example : tested_) chance_.push_back(1 / static_cast<double>(example->options.size()));
  }

  RuleResults run();

 private:
  Positions positions() const;
  std::vector<MeasuredRule> measure_features(const Examples& examples, bool with_popularity) const;
  void measure_best_position(const Positions& positions);
  void fit();
  Successes successes_of(const std::vector<FittedTerm>& terms) const;
  CombinationReport report_of(const std::vector<FittedTerm>& terms, const eval::Estimate& accuracy,
                              const eval::Estimate& above) const;
  MeasuredRule& rule(const std::string& name);
  void estimate_rules(const OptionsReport& report);
  void estimate_those_that_learn_nothing();
  void estimate_combinations(OptionsReport& report);
  void compare(RuleResults& results);

  Examples learned_, tested_, all_;
  eval::BootstrapOptions bootstrap_;
  FeatureReader reader_;
  Successes chance_;
  eval::Clusters clusters_;  // of tested examples
  std::vector<MeasuredRule> rules_;
  std::vector<PlacedList> lists_;  // of learned examples
  std::vector<FittedTerm> terms_, with_history_;
};

double chance_of_being_right(const std::vector<double>& scores, std::size_t gold) {
  return eval::hit_rate(eval::ranks_of(scores, gold), 1);
}

Positions Measurement::positions() const {
  Positions positions;
  const auto count = [](const Examples& examples, std::vector<std::int64_t>& places) {
    for (const AuditExample* example : examples) {
      if (places.size() < example->options.size()) places.resize(example->options.size());
      ++places[example->gold];
    }
  };
  count(learned_, positions.learned_on);
  count(tested_, positions.tested_on);
  positions.expected.resize(positions.tested_on.size());
  for (std::size_t i = 0; i < tested_.size(); ++i)
    for (std::size_t place = 0; place < tested_[i]->options.size(); ++place) positions.expected[place] += chance_[i];
  return positions;
}

std::vector<MeasuredRule> Measurement::measure_features(const Examples& examples, bool with_popularity) const {
  std::vector<MeasuredRule> rules;
  std::vector<std::pair<std::size_t, double>> ways;  // feature and sign of each rule
  for (std::size_t f = 0; f < features().size(); ++f) {
    const Feature& feature = features()[f];
    if (feature.looks_at == LooksAt::popularity && !with_popularity) continue;
    for (const auto& [named, sign] : {std::pair(feature.least, -1.0), std::pair(feature.most, 1.0)}) {
      if (!named) continue;
      rules.push_back({named->name, {named->description, name_of(feature.looks_at)}, {}});
      ways.emplace_back(f, sign);
    }
  }
  for (const AuditExample* example : examples) {
    const FeatureValues values = reader_.values_of(*example, std::nullopt);
    for (std::size_t r = 0; r < rules.size(); ++r) {
      std::vector<double> scores = values[ways[r].first];
      for (double& score : scores) score *= ways[r].second;
      rules[r].successes.push_back(chance_of_being_right(scores, example->gold));
    }
  }
  return rules;
}

void Measurement::measure_best_position(const Positions& positions) {
  const auto best = std::max_element(positions.learned_on.begin(), positions.learned_on.end());
  const auto place = static_cast<std::size_t>(best - positions.learned_on.begin());
  MeasuredRule rule{
      "best_position_of_train",
      {fmt::format("the option shown at place {}, where the right one stands most often in train", place + 1),
       name_of(LooksAt::surface)},
      {}};
  for (const AuditExample* example : tested_) {
    std::vector<double> scores(example->options.size());
    if (place < scores.size()) scores[place] = 1;
    rule.successes.push_back(chance_of_being_right(scores, example->gold));
  }
  rules_.push_back(std::move(rule));
}

void Measurement::fit() {
  const std::size_t count = std::min(kMostLearned, learned_.size());
  for (std::size_t k = 0; k < count; ++k) {
    const std::size_t i = k * learned_.size() / count;
    lists_.push_back({places_of_all(reader_.values_of(*learned_[i], fold_of(*learned_[i], i))), learned_[i]->gold});
  }
  std::vector<std::size_t> all(features().size()), without_history;
  std::iota(all.begin(), all.end(), std::size_t{0});
  std::copy_if(all.begin(), all.end(), std::back_inserter(without_history),
               [](std::size_t f) { return features()[f].looks_at != LooksAt::history; });
  terms_ = fit_combination(lists_, without_history);
  with_history_ = fit_combination(lists_, all);
}

Successes Measurement::successes_of(const std::vector<FittedTerm>& terms) const {
  Successes successes;
  for (std::size_t i = 0; i < tested_.size(); ++i)
    successes.push_back(chance_of_being_right(
        scores_of(terms, places_of_all(reader_.values_of(*tested_[i], std::nullopt))), tested_[i]->gold));
  return successes;
}

CombinationReport Measurement::report_of(const std::vector<FittedTerm>& terms, const eval::Estimate& accuracy,
                                         const eval::Estimate& above) const {
  CombinationReport report{.accuracy = accuracy.value,
                           .wilson_95 = accuracy.wilson_95,
                           .bootstrap_95 = accuracy.bootstrap_95,
                           .above_chance = 100 * (accuracy.value - eval::mean(chance_)),
                           .above_popularity = 100 * above.value,
                           .above_popularity_95 = {100 * above.bootstrap_95.low, 100 * above.bootstrap_95.high}};
  for (const FittedTerm& term : terms) report.terms.push_back({features()[term.feature].name, term.weight});
  for (const PlacedList& list : lists_)
    report.accuracy_where_learned +=
        chance_of_being_right(scores_of(terms, list.places), list.gold) / static_cast<double>(lists_.size());
  return report;
}

MeasuredRule& Measurement::rule(const std::string& name) {
  return *std::find_if(rules_.begin(), rules_.end(), [&](const MeasuredRule& r) { return r.name == name; });
}

Successes minus(Successes a, const Successes& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] -= b[i];
  return a;
}

void Measurement::estimate_rules(const OptionsReport& report) {
  std::vector<eval::Column> columns;
  for (const MeasuredRule& rule : rules_) columns.push_back({rule.name, rule.successes, true});
  const eval::Estimates estimates = eval::estimates_of(std::move(columns), clusters_, bootstrap_);
  for (std::size_t r = 0; r < rules_.size(); ++r) {
    const eval::Estimate& accuracy = estimates[r].second;
    RuleReport& rule = rules_[r].report;
    rule.accuracy = rule.accuracy_tested = accuracy.value;
    rule.wilson_95 = accuracy.wilson_95;
    rule.bootstrap_95 = accuracy.bootstrap_95;
    rule.num_examples = std::ssize(tested_);
    rule.above_chance = 100 * (accuracy.value - report.chance);
    rule.above_popularity = 100 * (accuracy.value - report.popularity);
  }
}

void Measurement::estimate_those_that_learn_nothing() {
  std::vector<eval::Column> columns;
  for (MeasuredRule& measured : measure_features(all_, /*with_popularity=*/false))
    columns.push_back({measured.name, std::move(measured.successes), true});
  for (const auto& [name, accuracy] : eval::estimates_of(std::move(columns), clusters_of(all_), bootstrap_)) {
    RuleReport& report = rule(name).report;
    report.accuracy = accuracy.value;
    report.wilson_95 = accuracy.wilson_95;
    report.bootstrap_95 = accuracy.bootstrap_95;
    report.num_examples = std::ssize(all_);
  }
}

void Measurement::estimate_combinations(OptionsReport& report) {
  const Successes combined = successes_of(terms_), with_history = successes_of(with_history_);
  const Successes& popular = rule("most_popular_in_train").successes;
  const eval::Estimates estimates = eval::estimates_of({{"combination", combined, true},
                                                        {"above", minus(combined, popular), false},
                                                        {"with_history", with_history, true},
                                                        {"above_with_history", minus(with_history, popular), false}},
                                                       clusters_, bootstrap_);
  report.combination = report_of(terms_, estimates[0].second, estimates[1].second);
  report.with_history = report_of(with_history_, estimates[2].second, estimates[3].second);
}

/// The best rules, beside the better of chance and popularity.
void Measurement::compare(RuleResults& results) {
  const Successes& popular = rule("most_popular_in_train").successes;
  const Successes& reference = results.report.popularity > results.report.chance ? popular : chance_;
  const auto value = [](const MeasuredRule& rule) {
    return rule.report.looks_at == name_of(LooksAt::surface) ? rule.report.accuracy_tested : -1;
  };
  const MeasuredRule& best_surface = *std::max_element(
      rules_.begin(), rules_.end(), [&](const MeasuredRule& a, const MeasuredRule& b) { return value(a) < value(b); });
  results.best_surface_rule = best_surface.name;
  results.surface_above_reference = paired_difference(best_surface.successes, reference, clusters_);
  results.combination_above_reference = paired_difference(successes_of(terms_), reference, clusters_);
  results.popularity_above_chance = paired_difference(popular, chance_, clusters_);
}

RuleResults Measurement::run() {
  RuleResults results;
  OptionsReport& report = results.report;
  report.num_examples = std::ssize(tested_);
  report.chance = eval::mean(chance_);
  report.positions = positions();
  rules_ = measure_features(tested_, /*with_popularity=*/true);
  if (!learned_.empty()) measure_best_position(report.positions);
  report.popularity = eval::mean(rule("most_popular_in_train").successes);
  fit();
  estimate_rules(report);
  estimate_those_that_learn_nothing();
  estimate_combinations(report);
  compare(results);
  std::stable_sort(rules_.begin(), rules_.end(),
                   [](const MeasuredRule& a, const MeasuredRule& b) { return a.report.accuracy > b.report.accuracy; });
  for (MeasuredRule& rule : rules_) {
    auto& rules = rule.report.looks_at == name_of(LooksAt::history) ? report.history_rules : report.rules;
    rules.emplace_back(rule.name, std::move(rule.report));
  }
  return results;
}

}  // namespace

Difference paired_difference(const std::vector<double>& a, const std::vector<double>& b,
                             const eval::Clusters& clusters) {
  const auto n = static_cast<double>(a.size());
  Difference difference{eval::mean(a) - eval::mean(b), 0};
  std::vector<double> sums(static_cast<std::size_t>(clusters.count));  // of each cluster, of what deviates
  for (std::size_t i = 0; i < a.size(); ++i)
    sums[static_cast<std::size_t>(clusters.of_example[i])] += a[i] - b[i] - difference.mean;
  for (const double sum : sums) difference.standard_error += sum * sum;
  difference.standard_error = std::sqrt(difference.standard_error) / n;
  return difference;
}

core::Part<RuleResults> measure_rules(const AuditData& data, const Parts& parts,
                                      const eval::BootstrapOptions& bootstrap) {
  if (with_options(parts.tested_on).empty())
    return core::Part<RuleResults>::none(
        "no example shows options to choose from: list them in the rows, or say with option_pattern how prompts show "
        "them");
  return {Measurement(data, parts, bootstrap).run(), ""};
}

}  // namespace allreco::audit
