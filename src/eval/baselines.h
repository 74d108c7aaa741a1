// Baselines: what an accuracy must beat to mean anything. None of these rules looks at a model; each is cheap and
// fitted on the train split or on nothing.
#pragma once
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/store/dataset.h"
#include "eval/baselines/item_baseline.h"
#include "eval/eval_example.h"

namespace allreco::eval {

/// A rule that scores candidates; ties are part of it and count by expectation.
struct CandidateBaseline {
  std::string name;
  std::string description;
  std::optional<std::string> not_applicable = {};                      // why; then there is no rule
  std::function<std::vector<double>(const EvalExample&)> scores = {};  // of its candidates
};

/// chance, most_popular_candidate, unseen_in_train_else_popular, shortest_title, fewest_odd_characters,
/// last_item_repeat, and `of_items`: always all. `catalogue` must outlive the result.
std::vector<CandidateBaseline> candidate_baselines(std::span<const EvalExample> examples,
                                                   const std::vector<data::Item>& catalogue,
                                                   const std::vector<ItemBaseline>& of_items);

/// What base_model_baseline adds to the baselines.
inline constexpr const char* kBaseModel = "base_model";
inline constexpr const char* kBaseModelDescription = "the model without its adapter, by the headline's score";

/// A rule that names one answer outright; to stand beside generated text.
struct AnswerBaseline {
  std::string name;
  std::string description;
  std::optional<std::string> not_applicable = {};
  std::vector<double> correct = {};  // per example: the probability of being right
};

/// chance (a title of the catalogue at random), majority (the most frequent answer of the train split),
/// last_item_repeat: always all three.
std::vector<AnswerBaseline> answer_baselines(const data::DatasetInfo& info, std::span<const EvalExample> examples,
                                             const std::vector<data::Item>& catalogue);

/// Characters (code points) of UTF-8 text, and those of them outside [A-Za-z .?].
std::int64_t num_characters(const std::string& utf8);
std::int64_t num_odd_characters(const std::string& utf8);

}  // namespace allreco::eval
