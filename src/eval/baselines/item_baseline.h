// ItemBaseline: a rule that scores every item of the catalogue after a history. None looks at a model; each is fitted
// on the train split, or on nothing. Definitions: docs/evaluation.md.
#pragma once
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/store/dataset.h"
#include "eval/baselines/train_sequences.h"
#include "eval/eval_example.h"

namespace allreco::eval {

struct ItemBaseline {
  /// Fills the scores of all items; equal ones are a tie. Called from several threads at once.
  using Score = std::function<void(const EvalExample&, std::span<double>)>;

  std::string name;
  std::string description;
  std::optional<std::string> not_applicable = {};  // why; then there is no rule
  Score score = {};
  bool needs_history = true;
};

/// Whether a baseline of the catalogue stands also beside candidates, or whether those have one of their own.
struct ItemBaselineSet {
  std::vector<ItemBaseline> of_catalogue_only;  // chance, popularity, shortest_title, ...
  std::vector<ItemBaseline> of_both;            // recent_popularity, co_occurrence, item_knn, bm25, ...
};

/// chance, popularity, recent_popularity, last_item, co_occurrence, item_knn, bm25, tf_idf, co_occurrence_text,
/// shortest_title, fewest_odd_characters: always all. `examples`: what they will score.
ItemBaselineSet item_baselines(const std::vector<data::Item>& catalogue, const TrainSequences& train,
                               std::span<const EvalExample> examples);

/// The parts. `popularity_share[item]` < 0.001 backs off what they do not tell apart.
ItemBaseline::Score co_occurrence_scores(const TrainSequences& train, std::int64_t window);
ItemBaseline::Score item_knn_scores(const TrainSequences& train);
ItemBaseline::Score bm25_scores(const std::vector<data::Item>& catalogue);
ItemBaseline::Score tf_idf_scores(const std::vector<data::Item>& catalogue);

/// 0.001 * purchases / (most purchases + 1): orders what a count leaves equal, and nothing else.
std::vector<double> popularity_share(const TrainSequences& train);

/// The history of an example, oldest first; where only its newest item is known, that one.
std::span<const std::uint32_t> known_history(const EvalExample& example);

/// A history item's weight in item_knn, bm25 and tf_idf: kRecencyWeight to the power of its age, 0 for the newest.
inline constexpr double kRecencyWeight = 0.7;

}  // namespace allreco::eval
