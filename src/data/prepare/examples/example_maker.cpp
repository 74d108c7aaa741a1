#include "data/prepare/examples/example_maker.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/interrupt.h"
#include "core/ordered_work.h"

namespace allreco::data {

namespace {

constexpr std::size_t kTasksOfPiece = 32;           // examples that a thread makes at a time
constexpr std::size_t kPiecesWaitingPerThread = 8;  // so that no thread waits for the one that reads shoppers

}  // namespace

NegativePool negative_pool(PrepareRanks& ranks, const PrepareConfig& config, const KeptShoppers& kept,
                           const SplitPlan& plan) {
  NegativePool pool{.train_counts = std::vector<std::int64_t>(kept.catalogue.size()),
                    .by_popularity = config.negatives == "popularity",
                    .is_matched = config.negatives == "matched",
                    .of_category = config.negatives == "same_category"};
  const bool with_newer = config.negative_items == "existing";
  if (with_newer) pool.first_times.assign(kept.catalogue.size(), std::numeric_limits<std::int64_t>::max());
  kept.store.for_each([&](const Shopper& shopper) {
    for (const Purchase& purchase : shopper.purchases) {
      if (plan.counts_as_train(shopper.user, purchase.timestamp)) ++pool.train_counts[purchase.item];
      if (with_newer) pool.first_times[purchase.item] = std::min(pool.first_times[purchase.item], purchase.timestamp);
    }
  });
  ranks.all_sum(pool.train_counts);
  ranks.all_min(pool.first_times);
  return pool;
}

ExampleMaker::ExampleMaker(const PrepareConfig& config, const ExampleEncoder& encoder, const KeptShoppers& kept,
                           const NegativePool& pool)
    : config_(config),
      encoder_(encoder),
      kept_(kept),
      sampler_(kept.catalogue, pool, config.seed),
      has_times_(config.sequences.empty()) {}

Fit ExampleMaker::encode(const HistoryExample& history, Example& example) const {
  const auto texts_of = [&](const std::vector<std::uint32_t>& items) {
    std::vector<ItemText> texts;
    for (const std::uint32_t item : items) {
      const CatalogueEntry& entry = kept_.catalogue[item];
      texts.push_back({entry.title, entry.details.brand, entry.details.category, entry.details.price});
    }
    return texts;
  };
  return encoder_.encode_history(texts_of(history.history), texts_of(history.candidates),
                                 kept_.catalogue[history.target].title, example);
}

void ExampleMaker::make(const Task& task, Made& made) const {
  HistoryExample history = example_at(task.buyer->shopper, task.example.place, kept_.catalogue, config_.max_history);
  if (config_.num_candidates > 0 && !sampler_.draw(history, task.buyer->exclusions, config_.num_candidates)) {
    ++made.counts.too_few_negatives;
    return;
  }
  Example example;
  example.user = history.user;
  if (has_times_) example.timestamp = history.timestamp;
  example.target = history.target;
  example.last_item = history.history.back();
  if (!history.candidates.empty()) example.gold = history.gold;
  const Fit fit = encode(history, example);
  if (fit == Fit::too_long) {
    ++made.counts.too_long;
    return;
  }
  if (fit == Fit::truncated) ++made.counts.truncated;
  const auto split = static_cast<std::size_t>(task.example.split);
  if (history.has_other_categories) ++made.counts.other_categories;
  if (history.tied_with_last && has_times_) ++made.counts.tied_with_last[split];
  if (history.repeats_title) ++made.counts.repeats_title[split];
  if (task.example.split == Split::train) made.train_targets.push_back(history.target);
  example.history = std::move(history.history);
  example.candidates = std::move(history.candidates);
  made.counts.statistics.add(task.example.split, example);
  made.num_tokens += std::ssize(example.tokens);
  pack_example(example, made.bytes[split]);
}

ExampleMaker::Made ExampleMaker::make(const std::vector<Task>& tasks) const {
  Made made;
  made.num_examples = std::ssize(tasks);
  for (const Task& task : tasks) make(task, made);
  return made;
}

ExampleCounts ExampleMaker::run(const PrepareContext& context, const ExampleShares& shares,
                                std::vector<ExamplePartWriter>& parts) const {
  ExampleCounts counts;
  counts.target_counts.resize(kept_.catalogue.size());
  double num_examples = 0, num_tokens = 0;
  const auto take = [&](Made& made) {
    for (std::size_t split = 0; split < parts.size(); ++split) parts[split].append(made.bytes[split]);
    counts.merge(made.counts);
    for (const std::uint32_t item : made.train_targets) ++counts.target_counts[item];
    num_examples += static_cast<double>(made.num_examples);
    num_tokens += static_cast<double>(made.num_tokens);
    context.ranks.leave_if_peer_failed();
    core::throw_if_interrupted();
    context.progress.show(num_examples, num_tokens);
  };
  core::OrderedWork<std::vector<Task>, Made> work(
      context.num_threads, static_cast<std::size_t>(context.num_threads) * kPiecesWaitingPerThread,
      [this](std::vector<Task>& tasks) { return make(tasks); }, take);
  std::vector<Task> tasks;
  shares.for_each([&](Shopper& shopper, std::span<const PlannedExample> examples) {
    const auto buyer = std::make_shared<Buyer>(Buyer{std::move(shopper), {}});
    buyer->exclusions = sampler_.exclusions_of(buyer->shopper);
    for (const PlannedExample& example : examples) {
      tasks.push_back({buyer, example});
      if (tasks.size() == kTasksOfPiece) work.push(std::exchange(tasks, {}));
    }
  });
  if (!tasks.empty()) work.push(std::move(tasks));
  work.finish();
  for (ExamplePartWriter& part : parts) part.close();
  return counts;
}

}  // namespace allreco::data
