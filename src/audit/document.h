// The structs of audit.json. docs/audit.md says what each number is.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/json_fields.h"
#include "eval/estimates.h"

namespace allreco::audit {

/// A share of examples, beside how many they are.
struct Share {
  std::int64_t count = 0, of = 0;
  double share = 0;

  template <class Archive>
  void fields(Archive& a) {
    a("count", count);
    a("of", of);
    a("share", share);
  }
};
inline Share share_of(std::int64_t count, std::int64_t of) {
  return {count, of, of == 0 ? 0 : static_cast<double>(count) / static_cast<double>(of)};
}

/// What was read.
struct Examined {
  std::string fingerprint = {}, source = {}, split_method = {};
  core::Named<Share> examples = {};  // by split: examined, of those in it
  std::string learned_on = {}, tested_on = {};
  std::string options_from = {};  // candidates | option_pattern | the template's labels | nothing
  std::int64_t num_with_options = 0;
  std::int64_t num_without_options = 0;        // no list was found in them
  std::int64_t num_answer_not_in_options = 0;  // of those without: a list was found, but not the answer in it

  template <class Archive>
  void fields(Archive& a) {
    a("fingerprint", fingerprint);
    a("source", source);
    a("split_method", split_method);
    a("examples", examples);
    a("learned_on", learned_on);
    a("tested_on", tested_on);
    a("options_from", options_from);
    a("num_with_options", num_with_options);
    a("num_without_options", num_without_options);
    a("num_answer_not_in_options", num_answer_not_in_options);
  }
};

struct BaseRates {
  std::int64_t num_answers = 0;  // different ones, in what is learned on
  std::string most_frequent_answer = {};
  Share most_frequent = {};         // of it, there
  Share majority_accuracy = {};     // of always giving it, where is tested
  Share answers_not_in_train = {};  // tested answers that what is learned on never gives

  template <class Archive>
  void fields(Archive& a) {
    a("num_answers", num_answers);
    a("most_frequent_answer", most_frequent_answer);
    a("most_frequent", most_frequent);
    a("majority_accuracy", majority_accuracy);
    a("answers_not_in_train", answers_not_in_train);
  }
};

/// How often the right option stands at each place.
struct Positions {
  std::vector<std::int64_t> learned_on = {}, tested_on = {};
  std::vector<double> expected = {};  // where is tested, were places dealt at random

  template <class Archive>
  void fields(Archive& a) {
    a("learned_on", learned_on);
    a("tested_on", tested_on);
    a("expected", expected);
  }
};

/// An accuracy that needs no model.
struct RuleReport {
  std::string description = {};
  std::string looks_at = {};  // surface | popularity | history
  double accuracy = 0;        // of num_examples: all splits' where the rule learns nothing, else where is tested
  std::optional<eval::Interval> wilson_95 = {};
  eval::Interval bootstrap_95 = {};
  std::int64_t num_examples = 0;
  double accuracy_tested = 0;  // where is tested; so are the next two
  double above_chance = 0;     // in points of 100
  double above_popularity = 0;

  template <class Archive>
  void fields(Archive& a) {
    a("description", description);
    a("looks_at", looks_at);
    a("accuracy", accuracy);
    a("wilson_95", wilson_95);
    a("bootstrap_95", bootstrap_95);
    a("num_examples", num_examples);
    a("accuracy_tested", accuracy_tested);
    a("above_chance_points", above_chance);
    a("above_popularity_points", above_popularity);
  }
};

/// A feature of the combination with its weight: options are compared by the sum of weight times their place within the
/// list, from -1 (least) to 1 (most).
struct Term {
  std::string feature = {};
  double weight = 0;

  template <class Archive>
  void fields(Archive& a) {
    a("feature", feature);
    a("weight", weight);
  }
};

struct CombinationReport {
  std::vector<Term> terms = {};
  double accuracy_where_learned = 0;
  double accuracy = 0;
  std::optional<eval::Interval> wilson_95 = {};
  eval::Interval bootstrap_95 = {};
  double above_chance = 0;
  double above_popularity = 0;
  eval::Interval above_popularity_95 = {};  // paired, in points

  template <class Archive>
  void fields(Archive& a) {
    a("terms", terms);
    a("accuracy_where_learned", accuracy_where_learned);
    a("accuracy", accuracy);
    a("wilson_95", wilson_95);
    a("bootstrap_95", bootstrap_95);
    a("above_chance_points", above_chance);
    a("above_popularity_points", above_popularity);
    a("above_popularity_points_95", above_popularity_95);
  }
};

struct OptionsReport {
  std::int64_t num_examples = 0;  // where is tested
  double chance = 0;
  double popularity = 0;  // accuracy of rules.most_popular_in_train
  Positions positions = {};
  core::Named<RuleReport> rules = {};          // that look at the options and at train, the best first
  core::Named<RuleReport> history_rules = {};  // that look at the shopper, too: what they find may be honest
  CombinationReport combination = {};          // of surface and popularity
  CombinationReport with_history = {};         // of everything

  template <class Archive>
  void fields(Archive& a) {
    a("num_examples", num_examples);
    a("chance", chance);
    a("popularity", popularity);
    a("positions", positions);
    a("rules", rules);
    a("history_rules", history_rules);
    a("combination", combination);
    a("combination_with_history", with_history);
  }
};

/// Examples of validation and test that train has as well.
struct Duplicates {
  core::Named<Share> exact = {};        // prompt and answer, by split
  core::Named<Share> same_prompt = {};  // and another answer or the same
  core::Named<Share> near = {};         // Jaccard similarity of at least near_threshold
  Share within_train = {};              // exact repeats of an earlier example
  double near_threshold = 0;

  template <class Archive>
  void fields(Archive& a) {
    a("exact", exact);
    a("same_prompt", same_prompt);
    a("near", near);
    a("within_train", within_train);
    a("near_threshold", near_threshold);
  }
};

struct Visibility {
  Share answer_in_own_prompt = {};        // outside the options
  Share answer_in_any_train_prompt = {};  // outside its options
  Share answer_in_train_prompt_of_shopper = {};
  std::string shoppers_known_by = {};  // user | history

  template <class Archive>
  void fields(Archive& a) {
    a("answer_in_own_prompt", answer_in_own_prompt);
    a("answer_in_any_train_prompt", answer_in_any_train_prompt);
    a("answer_in_train_prompt_of_shopper", answer_in_train_prompt_of_shopper);
    a("shoppers_known_by", shoppers_known_by);
  }
};

struct Times {
  std::optional<double> tied_with_last_item = {};  // as prepare counted
  Share same_time_as_another_target = {};          // of the same shopper
  Share before_a_train_target = {};                // of tested targets

  template <class Archive>
  void fields(Archive& a) {
    a.or_null("tied_with_last_item", tied_with_last_item);
    a("same_time_as_another_target", same_time_as_another_target);
    a("before_a_train_target", before_a_train_target);
  }
};

struct Verdict {
  std::string name = {};
  std::string status = {};  // ok | warning | not_applicable
  std::string text = {};
  std::string threshold = {};

  template <class Archive>
  void fields(Archive& a) {
    a("name", name);
    a("status", status);
    a("text", text);
    a("threshold", threshold);
  }
};

struct AuditDocument {
  static constexpr std::int64_t kVersion = 1;
  Examined examined = {};
  BaseRates base_rates = {};
  core::Part<OptionsReport> options = core::Part<OptionsReport>::none("not measured");
  Duplicates duplicates = {};
  Visibility visibility = {};
  core::Part<Times> times = core::Part<Times>::none("not measured");
  std::vector<Verdict> verdicts = {};
  std::int64_t num_warnings = 0;
};
core::Json json_of(const AuditDocument& document);

/// What rank 0 prints.
std::string audit_table(const AuditDocument& document);

/// Its warnings alone, one a line; or that there are none.
std::string warnings_text(const AuditDocument& document);

}  // namespace allreco::audit
