// The run's plan: how many steps of which samples, and who computes what in each. Pure functions of the options, the
// split and the number of ranks.
#pragma once
#include <cstdint>
#include <vector>

#include "data/batch_plan.h"
#include "data/dataset.h"
#include "model/config.h"
#include "train/config.h"

namespace allreco::train {

struct RunPlan {
  std::int64_t num_samples = 0;
  std::int64_t global_batch_size = 0;
  std::int64_t steps_per_epoch = 0;
  std::int64_t num_steps = 0;

  /// Epochs after `completed_steps`, as transformers counts them: steps of the epoch over steps per epoch.
  double epoch_after(std::int64_t completed_steps) const;
  std::int64_t samples_after(std::int64_t completed_steps) const;
  bool ends_epoch(std::int64_t completed_steps) const { return completed_steps % steps_per_epoch == 0; }
};

/// global_batch_size, or per_device_train_batch_size x gradient_accumulation_steps x world_size.
std::int64_t configured_global_batch_size(const TrainConfig& config, std::int64_t world_size);

/// num_steps = max_steps, or ceil(num_train_epochs * steps_per_epoch) as in transformers.
RunPlan plan_run(const TrainConfig& config, std::int64_t num_samples, std::int64_t global_batch_size);

/// One optimiser step as a rank sees it.
struct StepPlan {
  std::int64_t tokens = 0;                 // of the whole global batch
  std::int64_t supervised_tokens = 0;      // of the whole global batch: every rank's loss is divided by it
  std::vector<data::MicroBatches> shards;  // this rank's samples, by virtual shard
};

/// How a global batch is cut and who computes what. Without determinism every rank is one shard.
struct Sharding {
  std::int64_t num_shards = 1;
  std::int64_t first = 0;  // this rank's shards are [first, first + count)
  std::int64_t count = 1;
};
/// UserError, naming the world sizes that would do, when the virtual shards cannot be shared evenly.
Sharding sharding_of(const TrainConfig& config, std::int64_t rank, std::int64_t world_size);

class StepPlanner {
 public:
  StepPlanner(const data::Dataset& dataset, const model::ModelConfig& model, const TrainConfig& config,
              const RunPlan& run, const Sharding& sharding);
  /// UserError when the whole batch has no supervised token.
  StepPlan plan(std::int64_t step) const;

 private:
  const data::Dataset& dataset_;
  data::SampleOrder order_;
  data::CostModel cost_;
  std::int64_t global_batch_size_, per_device_batch_size_;
  Sharding sharding_;
};

/// Relative time of an example: multiply-adds of a layer's projections (forward and gradient of the input) against
/// those of causal attention.
data::CostModel cost_model_of(const model::ModelConfig& config);

}  // namespace allreco::train
