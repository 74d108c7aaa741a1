// ExampleMaker: from planned examples to encoded ones, on all threads of a rank, written in order to the rank's part of
// each split.
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/prepare/examples/example_counts.h"
#include "data/prepare/examples/example_shares.h"
#include "data/prepare/examples/histories.h"
#include "data/prepare/examples/negative_sampler.h"
#include "data/prepare/examples/split_plan.h"
#include "data/prepare/prepare.h"
#include "data/prepare/shoppers/kept_shoppers.h"
#include "data/prompts/example_encoder.h"
#include "data/store/example_parts.h"

namespace allreco::data {

class ExampleMaker {
 public:
  /// Keeps references to all of them.
  ExampleMaker(const PrepareConfig& config, const ExampleEncoder& encoder, const KeptShoppers& kept,
               const NegativePool& pool);

  /// This rank's share: appends what it makes to `parts`, in the order of kSplits, and returns what it counted.
  ExampleCounts run(const PrepareContext& context, const ExampleShares& shares,
                    std::vector<ExamplePartWriter>& parts) const;

 private:
  /// A shopper on its way; shared by the pieces of one with very many examples.
  struct Buyer {
    Shopper shopper;
    NegativeSampler::Exclusions exclusions;
  };
  struct Task {
    std::shared_ptr<const Buyer> buyer;
    PlannedExample example;
  };
  struct Made {
    std::array<std::string, kSplits.size()> bytes;
    ExampleCounts counts;
    std::vector<std::uint32_t> train_targets;
    std::int64_t num_tokens = 0, num_examples = 0;
  };

  Made make(const std::vector<Task>& tasks) const;
  void make(const Task& task, Made& made) const;
  Fit encode(const HistoryExample& history, Example& example) const;

  const PrepareConfig& config_;
  const ExampleEncoder& encoder_;
  const KeptShoppers& kept_;
  NegativeSampler sampler_;
  bool has_times_;
};

/// Collective. What negatives are drawn from: counts of the train period, and with negative_items = existing when each
/// item was first bought.
NegativePool negative_pool(PrepareRanks& ranks, const PrepareConfig& config, const KeptShoppers& kept,
                           const SplitPlan& plan);

}  // namespace allreco::data
