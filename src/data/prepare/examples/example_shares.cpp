#include "data/prepare/examples/example_shares.h"

#include <algorithm>
#include <string>
#include <vector>

#include "data/prepare/packed_text.h"

namespace allreco::data {

namespace {

/// Of a shopper what these examples need, and the examples.
void pack_share(const Shopper& shopper, std::span<const PlannedExample> examples, std::int64_t max_history,
                std::string& bytes) {
  const std::size_t oldest = examples.front().place;
  const std::size_t first = oldest - std::min(oldest, static_cast<std::size_t>(max_history));
  const std::span purchases = std::span(shopper.purchases).subspan(first, examples.back().place + 1 - first);
  pack_shopper({shopper.user, {purchases.begin(), purchases.end()}, shopper.bought_titles}, bytes);
  append_number(bytes, std::uint64_t{examples.size()});
  for (const PlannedExample& example : examples)
    append_number(bytes,
                  std::uint64_t{(example.place - first) * kSplits.size() + static_cast<std::size_t>(example.split)});
}

void read_share(core::SpoolReader& reader, Shopper& shopper, std::vector<PlannedExample>& examples) {
  read_shopper(reader, shopper);
  examples.resize(reader.read_value<std::uint64_t>());
  for (PlannedExample& example : examples) {
    const auto number = reader.read_value<std::uint64_t>();
    example = {number / kSplits.size(), kSplits[number % kSplits.size()]};
  }
}

struct Planned {
  std::int64_t cost = 0, examples = 0;
};

Planned planned(const SplitPlan& plan, const ShopperStore& store, const ExampleCost& cost) {
  Planned sum;
  plan.for_each(store, [&](const Shopper&, const std::vector<PlannedExample>& examples) {
    sum.examples += std::ssize(examples);
    for (const PlannedExample& example : examples) sum.cost += cost.of(example);
  });
  return sum;
}

}  // namespace

/// The frame of a prompt counts as some titles.
std::int64_t ExampleCost::of(const PlannedExample& example) const {
  constexpr std::int64_t kFrame = 4;
  return kFrame + std::min(static_cast<std::int64_t>(example.place), max_history) + num_candidates;
}

/// Calls visit(shopper, examples, worker) for this rank's own shoppers, each once for every rank that makes some of its
/// examples.
template <class VisitRun>
void ExampleShares::for_each_run(const VisitRun& visit) const {
  std::int64_t cost_before = 0;
  plan_.for_each(store_, [&](Shopper& shopper, const std::vector<PlannedExample>& examples) {
    for (std::size_t begin = 0, end = 0; begin < examples.size(); begin = end) {
      const int worker = shares_.worker_of(cost_before);
      while (end < examples.size() && shares_.worker_of(cost_before) == worker)
        cost_before += cost_.of(examples[end++]);
      visit(shopper, std::span(examples).subspan(begin, end - begin), worker);
    }
  });
}

ExampleShares::ExampleShares(const PrepareContext& context, const SplitPlan& plan, const ShopperStore& store,
                             const ExampleCost& cost)
    : plan_(plan), store_(store), cost_(cost), rank_(context.ranks.rank()), shares_(context, [&] {
        const Planned sum = planned(plan, store, cost);
        num_examples_ = sum.examples;
        return sum.cost;
      }()) {
  num_examples_ = context.ranks.sum(num_examples_) / context.ranks.size();
  shares_.hand_over(context, [&](const EvenShares::Send& send) {
    std::string record;
    for_each_run([&](const Shopper& shopper, std::span<const PlannedExample> examples, int worker) {
      if (worker == rank_) return;
      record.clear();
      pack_share(shopper, examples, cost_.max_history, record);
      send(worker, record);
    });
  });
}

void ExampleShares::for_each(const Visit& visit) const {
  Shopper received;
  std::vector<PlannedExample> examples;
  const auto read = [&](core::SpoolReader& reader) {
    read_share(reader, received, examples);
    visit(received, examples);
  };
  shares_.for_each(read, [&] {
    for_each_run([&](Shopper& shopper, std::span<const PlannedExample> run, int worker) {
      if (worker == rank_) visit(shopper, run);
    });
  });
}

}  // namespace allreco::data
