// The run's plan: how many steps of which samples, and who computes what in each. Pure functions of the options, the
// split and the number of ranks.
#pragma once
#include <cstdint>
#include <vector>

#include "data/batch_plan.h"
#include "data/store/dataset.h"
#include "model/families/config.h"
#include "train/config.h"

namespace allreco::train {

/// Where a run goes on: so many steps done, so many samples consumed. Both 0 for a new one.
struct RunPosition {
  std::int64_t step = 0;
  std::int64_t samples_consumed = 0;
};

struct RunPlan {
  std::int64_t num_samples = 0;
  std::int64_t global_batch_size = 0;
  std::int64_t steps_per_epoch = 0;
  std::int64_t num_steps = 0;
  RunPosition start;

  /// Epochs after `completed_steps`, as transformers counts them: steps of the epoch over steps per epoch.
  double epoch_after(std::int64_t completed_steps) const;
  /// Over all epochs. From `start` on each step takes a global batch, the last of an epoch what is left: with an
  /// unchanged batch size the same whatever step the run started at. REQUIRES completed_steps >= start.step.
  std::int64_t samples_after(std::int64_t completed_steps) const;
  bool ends_epoch(std::int64_t completed_steps) const { return samples_after(completed_steps) % num_samples == 0; }

  /// Steps from `start` to the end of the epoch that it is in.
  std::int64_t steps_left_in_first_epoch() const;
};

/// global_batch_size, or per_device_train_batch_size x gradient_accumulation_steps x world_size.
std::int64_t configured_global_batch_size(const TrainConfig& config, std::int64_t world_size);

/// num_steps = max_steps, or ceil(num_train_epochs * steps_per_epoch) as in transformers; for a run that goes on with
/// another batch size, the steps done and what the rest of those epochs takes.
RunPlan plan_run(const TrainConfig& config, std::int64_t num_samples, std::int64_t global_batch_size,
                 const RunPosition& start = {});

/// One optimiser step as a rank sees it.
struct StepPlan {
  std::int64_t tokens = 0;                 // of the whole global batch
  std::int64_t supervised_tokens = 0;      // of the whole global batch: every rank's loss is divided by it
  std::vector<data::MicroBatches> shards;  // this rank's samples, by virtual shard
  /// All of this rank's, in the order of the computation.
  data::MicroBatches micro_batches() const;
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
  RunPlan run_;
  std::int64_t per_device_batch_size_;
  Sharding sharding_;
};

/// Relative time of an example: multiply-adds of a layer's projections (forward and gradient of the input) against
/// those of causal attention.
data::CostModel cost_model_of(const model::ModelConfig& config);

}  // namespace allreco::train
