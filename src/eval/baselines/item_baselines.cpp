#include <algorithm>
#include <memory>

#include "eval/baselines.h"
#include "eval/baselines/item_baseline.h"

namespace allreco::eval {

namespace {

/// A score that is a property of the item alone.
ItemBaseline::Score constant(std::vector<double> of_items) {
  return [of_items = std::move(of_items)](const EvalExample&, std::span<double> scores) {
    std::copy(of_items.begin(), of_items.end(), scores.begin());
  };
}

template <class ValueOf>
ItemBaseline::Score by_title(const std::vector<data::Item>& catalogue, const ValueOf& value_of) {
  std::vector<double> values;
  for (const data::Item& item : catalogue) values.push_back(-static_cast<double>(value_of(item.title)));
  return constant(std::move(values));
}

std::vector<double> as_doubles(const std::vector<std::int64_t>& counts) { return {counts.begin(), counts.end()}; }

/// a / max a + b / max b: each of two evidences counts as much as the other.
ItemBaseline::Score combined(ItemBaseline::Score a, ItemBaseline::Score b) {
  return [a = std::move(a), b = std::move(b)](const EvalExample& example, std::span<double> scores) {
    std::vector<double> other(scores.size());
    a(example, scores);
    b(example, other);
    const auto scale = [](std::span<const double> values) {
      const double most = *std::max_element(values.begin(), values.end());
      return most > 0 ? 1 / most : 0.0;
    };
    const double of_a = scale(scores), of_b = scale(other);
    for (std::size_t i = 0; i < scores.size(); ++i) scores[i] = of_a * scores[i] + of_b * other[i];
  };
}

ItemBaseline::Score last_item_scores() {
  return [](const EvalExample& example, std::span<double> scores) {
    std::fill(scores.begin(), scores.end(), 0.0);
    const auto history = known_history(example);
    if (!history.empty()) scores[history.back()] = 1;
  };
}

ItemBaseline fitted(const char* name, const char* description, const TrainSequences& train,
                    const std::function<ItemBaseline::Score()>& fit, bool needs_history = true) {
  ItemBaseline baseline{name, description, train.not_applicable, {}, needs_history};
  if (!train.not_applicable) baseline.score = fit();
  return baseline;
}

ItemBaseline recent_popularity(const TrainSequences& train) {
  ItemBaseline baseline{"recent_popularity",
                        "the items that are most often targets in the newest tenth of the train split; popularity "
                        "orders equal ones",
                        train.not_applicable,
                        {},
                        false};
  if (!train.not_applicable && train.recent_targets.empty()) baseline.not_applicable = "the train split has no times";
  if (baseline.not_applicable) return baseline;
  std::vector<double> scores = popularity_share(train);
  for (std::size_t i = 0; i < scores.size(); ++i) scores[i] += static_cast<double>(train.recent_targets[i]);
  baseline.score = constant(std::move(scores));
  return baseline;
}

}  // namespace

ItemBaselineSet item_baselines(const std::vector<data::Item>& catalogue, const TrainSequences& train,
                               std::span<const EvalExample> examples) {
  ItemBaselineSet set;
  set.of_catalogue_only = {{"chance", "any item", {}, constant(std::vector<double>(catalogue.size())), false},
                           fitted(
                               "popularity", "the items that were bought most often in the train split", train,
                               [&] { return constant(as_doubles(train.purchases)); }, false),
                           {"last_item", "the newest item of the history", {}, last_item_scores()},
                           {"shortest_title", "the fewest characters", {}, by_title(catalogue, num_characters), false},
                           {"fewest_odd_characters",
                            "the fewest characters outside [A-Za-z .?]",
                            {},
                            by_title(catalogue, num_odd_characters),
                            false}};
  const auto counts = [&] { return co_occurrence_scores(train, 3); };
  set.of_both = {
      recent_popularity(train),
      fitted("co_occurrence",
             "how often users of the train split bought the item one to three places after the newest item of the "
             "history; popularity orders equal ones",
             train, counts),
      fitted("item_knn",
             "cosine of the sets of users who bought the items, summed over the history, each older item at 0.7 of the "
             "next one's weight",
             train, [&] { return item_knn_scores(train); }),
      {"bm25",
       "BM25 of the history's titles with the item's, summed with the same weights",
       {},
       bm25_scores(catalogue)},
      {"tf_idf", "cosine of TF-IDF of the titles, summed with the same weights", {}, tf_idf_scores(catalogue)},
      fitted("co_occurrence_text", "co_occurrence and bm25, each divided by its highest score", train,
             [&] { return combined(counts(), bm25_scores(catalogue)); })};
  const bool has_histories =
      std::any_of(examples.begin(), examples.end(), [](const EvalExample& e) { return !known_history(e).empty(); });
  if (!has_histories) {
    for (auto* baselines : {&set.of_catalogue_only, &set.of_both})
      for (ItemBaseline& baseline : *baselines)
        if (baseline.needs_history && !baseline.not_applicable)
          baseline.not_applicable = "no example says what its history holds";
  }
  return set;
}

}  // namespace allreco::eval
