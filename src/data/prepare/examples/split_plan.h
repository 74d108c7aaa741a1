// SplitPlan: which of a shopper's purchases become examples, and of which split.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/prepare/prepare.h"
#include "data/prepare/prepare_context.h"
#include "data/prepare/shoppers/shopper_store.h"
#include "data/prepare/splits.h"

namespace allreco::data {

/// An example to be made: its target's place among the shopper's purchases.
struct PlannedExample {
  std::size_t place = 0;
  Split split = Split::train;
};

/// What the shoppers hold before any example is dropped; of all ranks, the same on each.
struct PlanCounts {
  std::int64_t shoppers = 0;
  std::int64_t short_shoppers = 0, short_reviews = 0;  // with too few purchases, and theirs
  std::int64_t possible = 0;                           // purchases with enough history
};

class SplitPlan {
 public:
  /// Collective. Counts, then decides. UserError when the examples are too few for the split.
  SplitPlan(const PrepareContext& context, const PrepareConfig& config, const ShopperStore& store);

  const PlanCounts& counts() const { return counts_; }
  const std::string& method() const { return method_; }

  /// Calls visit(shopper, examples) for this rank's shoppers in order; both may be moved from. The examples are in the
  /// order of purchases; with examples_per_user = last the newest of each split.
  template <class Visit>
  void for_each(const ShopperStore& store, const Visit& visit) const {
    std::int64_t index = first_index_;
    std::vector<PlannedExample> examples;
    store.for_each([&](Shopper& shopper) {
      plan_examples(shopper, index, examples);
      index += num_possible(shopper);
      visit(shopper, examples);
    });
  }

  /// How many of a shopper's purchases, from the first one on, belong to training: those before the first that
  /// validation or test asks for. A split of single examples has no such part.
  std::size_t num_train_purchases(const Shopper& shopper) const;
  bool has_train_part() const { return method_ != "random"; }
  /// Whether negatives may know a purchase as one of the train period. A split of single examples has no train period:
  /// everything counts.
  bool counts_as_train(std::uint64_t user, std::int64_t timestamp) const;
  /// The splits that must have an example.
  std::vector<Split> needed_splits() const;
  /// For dataset.json.
  core::Json description() const;

 private:
  std::int64_t num_possible(const Shopper& shopper) const;
  void plan_examples(const Shopper& shopper, std::int64_t first_index, std::vector<PlannedExample>& examples) const;
  Split split_of(const Shopper& shopper, std::size_t place, std::int64_t index) const;
  Split split_of_user(std::uint64_t user) const;
  void count(PrepareRanks& ranks, const ShopperStore& store);
  void deal_at_random(const PrepareContext& context);
  bool is_by_time() const { return method_ == "time"; }

  const PrepareConfig& config_;
  std::int64_t min_history_;
  PlanCounts counts_;
  std::int64_t first_index_ = 0;  // of this rank's examples among those of all
  std::string method_;
  TimeBoundaries boundaries_;
  std::vector<Split> by_example_;  // of a random split: of all ranks' examples
};

/// What examples of test and validation give away of themselves to training, by the split's own definition. Of all
/// ranks.
struct Visibility {
  std::array<std::int64_t, kSplits.size()> targets{};  // of each split
  std::array<std::int64_t, kSplits.size()> visible{};  // of these: stand in the history of a train example
  std::int64_t test_targets_before_train = 0;          // bought before the newest train target

  core::Json description(bool has_times) const;
};

/// Collective. Counts them; a Fault where a split by time, by user, or of last items shows a target to training.
Visibility count_visibility(PrepareRanks& ranks, const SplitPlan& plan, const ShopperStore& store,
                            std::int64_t max_history);

}  // namespace allreco::data
