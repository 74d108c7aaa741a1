// ExampleShares: which rank makes which examples. A rank owns the shoppers of a range of ids that holds about as many
// rows as the others', but what costs are examples and their length, so the planned examples are shared out anew. A
// shopper with very many may be divided.
#pragma once
#include <cstdint>
#include <functional>
#include <span>

#include "data/prepare/even_shares.h"
#include "data/prepare/examples/split_plan.h"
#include "data/prepare/shoppers/shopper_store.h"

namespace allreco::data {

/// What an example costs, counted in the titles that it shows.
struct ExampleCost {
  std::int64_t max_history = 0, num_candidates = 0;
  std::int64_t of(const PlannedExample& example) const;
};

class ExampleShares {
 public:
  /// Collective. Keeps references to plan and store.
  ExampleShares(const PrepareContext& context, const SplitPlan& plan, const ShopperStore& store,
                const ExampleCost& cost);

  /// Calls visit(shopper, examples) for what this rank makes, in the dataset's order; the shopper may be moved from.
  /// One that came from another rank has no purchases but those that its examples show, and `place` counts from these.
  using Visit = std::function<void(Shopper& shopper, std::span<const PlannedExample> examples)>;
  void for_each(const Visit& visit) const;
  /// About how many these are.
  std::int64_t num_examples() const { return num_examples_; }

 private:
  template <class VisitRun>
  void for_each_run(const VisitRun& visit) const;

  const SplitPlan& plan_;
  const ShopperStore& store_;
  ExampleCost cost_;
  int rank_;
  std::int64_t num_examples_ = 0;
  EvenShares shares_;
};

}  // namespace allreco::data
