#include <algorithm>
#include <cmath>
#include <memory>

#include "eval/baselines/item_baseline.h"
#include "eval/baselines/sparse_rows.h"

namespace allreco::eval {

namespace {

/// count(x -> y): how often y was bought 1 to `window` places after x.
SparseRows followers(const TrainSequences& train, std::int64_t window) {
  std::vector<SparseRows::Entry> entries;
  for (const auto& sequence : train.sequences) {
    for (std::size_t i = 0; i < sequence.size(); ++i) {
      const std::size_t end = std::min(sequence.size(), i + 1 + static_cast<std::size_t>(window));
      for (std::size_t j = i + 1; j < end; ++j) entries.push_back({sequence[i], {sequence[j], 1.0}});
    }
  }
  return SparseRows(train.purchases.size(), std::move(entries));
}

std::vector<std::vector<std::uint32_t>> different_items(const TrainSequences& train) {
  std::vector<std::vector<std::uint32_t>> sets = train.sequences;
  for (auto& set : sets) {
    std::sort(set.begin(), set.end());
    set.erase(std::unique(set.begin(), set.end()), set.end());
  }
  return sets;
}

/// cosine(x, y) = sequences with both / sqrt(sequences with x * sequences with y).
SparseRows cosines(const TrainSequences& train) {
  const std::size_t num_items = train.purchases.size();
  const auto sets = different_items(train);
  std::vector<std::vector<std::uint32_t>> sets_with(num_items);
  for (std::uint32_t s = 0; s < sets.size(); ++s)
    for (const std::uint32_t item : sets[s]) sets_with[item].push_back(s);
  // Pairs are counted item by item: shoppers with hundreds of purchases have far more pairs than there are different
  // ones.
  SparseRows rows = SparseRows::counted(num_items, num_items, [&](std::uint32_t x, const auto& add) {
    for (const std::uint32_t s : sets_with[x])
      for (const std::uint32_t y : sets[s])
        if (x != y) add(y);
  });
  const auto count = [&](std::uint32_t item) { return static_cast<double>(sets_with[item].size()); };
  for (std::uint32_t x = 0; x < rows.num_rows(); ++x)
    for (Weighted& to : rows.row(x)) to.weight /= std::sqrt(count(x) * count(to.item));
  return rows;
}

}  // namespace

std::span<const std::uint32_t> known_history(const EvalExample& example) {
  if (!example.history.empty()) return example.history;
  return example.last_item ? std::span(&*example.last_item, 1) : std::span<const std::uint32_t>();
}

std::vector<double> popularity_share(const TrainSequences& train) {
  const auto most = static_cast<double>(*std::max_element(train.purchases.begin(), train.purchases.end()));
  std::vector<double> shares;
  for (const std::int64_t count : train.purchases) shares.push_back(0.001 * static_cast<double>(count) / (most + 1));
  return shares;
}

ItemBaseline::Score co_occurrence_scores(const TrainSequences& train, std::int64_t window) {
  const auto counts = std::make_shared<const SparseRows>(followers(train, window));
  return [counts, back_off = popularity_share(train)](const EvalExample& example, std::span<double> scores) {
    std::copy(back_off.begin(), back_off.end(), scores.begin());
    const auto history = known_history(example);
    if (!history.empty()) counts->add_row(history.back(), 1.0, scores);
  };
}

ItemBaseline::Score item_knn_scores(const TrainSequences& train) {
  const auto similar = std::make_shared<const SparseRows>(cosines(train));
  return [similar](const EvalExample& example, std::span<double> scores) {
    std::fill(scores.begin(), scores.end(), 0.0);
    double weight = 1;
    const auto history = known_history(example);
    for (auto item = history.rbegin(); item != history.rend(); ++item, weight *= kRecencyWeight)
      similar->add_row(*item, weight, scores);
  };
}

}  // namespace allreco::eval
