#include "train/run_plan.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"

namespace allreco::train {

double RunPlan::epoch_after(std::int64_t completed_steps) const {
  const std::int64_t samples = samples_after(completed_steps);
  if (samples == 0) return 0;
  const std::int64_t whole_epochs = (samples - 1) / num_samples;
  const std::int64_t steps_of_epoch = data::steps_per_epoch(samples - whole_epochs * num_samples, global_batch_size);
  return static_cast<double>(whole_epochs) + static_cast<double>(steps_of_epoch) / static_cast<double>(steps_per_epoch);
}

std::int64_t RunPlan::steps_left_in_first_epoch() const {
  return data::steps_per_epoch(num_samples - start.samples_consumed % num_samples, global_batch_size);
}

std::int64_t RunPlan::samples_after(std::int64_t completed_steps) const {
  core::require(completed_steps >= start.step, "a run's plan begins where it started");
  std::int64_t steps = completed_steps - start.step;
  if (steps < steps_left_in_first_epoch()) return start.samples_consumed + steps * global_batch_size;
  steps -= steps_left_in_first_epoch();
  const std::int64_t whole_epochs = start.samples_consumed / num_samples + 1 + steps / steps_per_epoch;
  return whole_epochs * num_samples + steps % steps_per_epoch * global_batch_size;
}

std::int64_t configured_global_batch_size(const TrainConfig& config, std::int64_t world_size) {
  if (config.global_batch_size > 0) return config.global_batch_size;
  return config.per_device_train_batch_size * config.gradient_accumulation_steps * world_size;
}

namespace {

std::int64_t steps_of_epochs(const TrainConfig& config, const RunPlan& plan) {
  const double steps = std::ceil(config.num_train_epochs * static_cast<double>(plan.steps_per_epoch));
  if (steps > kMostSteps) {
    core::user_error("num_train_epochs = {} of {} steps each are {:.0f} steps: a run has at most {:.0f}",
                     config.num_train_epochs, plan.steps_per_epoch, steps, kMostSteps);
  }
  return static_cast<std::int64_t>(steps);
}

/// The samples of a run, which may be many epochs of steps, are counted in 64 bits.
void check_countable(const RunPlan& plan) {
  const double epochs = static_cast<double>(plan.num_steps) / static_cast<double>(plan.steps_per_epoch) + 2;
  if (epochs * static_cast<double>(plan.num_samples) > 0x1p62) {
    core::user_error("{} steps over {} examples are more than can be counted: give a smaller max_steps", plan.num_steps,
                     plan.num_samples);
  }
}

}  // namespace

RunPlan plan_run(const TrainConfig& config, std::int64_t num_samples, std::int64_t global_batch_size,
                 const RunPosition& start) {
  RunPlan plan{.num_samples = num_samples, .global_batch_size = global_batch_size, .start = start};
  plan.steps_per_epoch = data::steps_per_epoch(num_samples, global_batch_size);
  const std::int64_t epoch = start.samples_consumed / num_samples;
  // How many steps of this batch size lead to the start: what was done in fact, unless the size has changed.
  const std::int64_t steps_before = (epoch + 1) * plan.steps_per_epoch - plan.steps_left_in_first_epoch();
  plan.num_steps = config.max_steps > 0 ? config.max_steps : steps_of_epochs(config, plan) + start.step - steps_before;
  check_countable(plan);
  return plan;
}

Sharding sharding_of(const TrainConfig& config, std::int64_t rank, std::int64_t world_size) {
  if (!config.deterministic) return {.num_shards = world_size, .first = rank, .count = 1};
  if (config.virtual_shards % world_size != 0) {
    std::string sizes;
    for (std::int64_t size = 1; size <= config.virtual_shards; size *= 2)
      sizes += fmt::format("{}{}", size > 1 ? ", " : "", size);
    core::user_error(
        "deterministic = true with virtual_shards = {}: {} ranks cannot share them evenly; start {} ranks, or give "
        "another virtual_shards (which gives other bits)",
        config.virtual_shards, world_size, sizes);
  }
  const std::int64_t count = config.virtual_shards / world_size;
  return {.num_shards = config.virtual_shards, .first = rank * count, .count = count};
}

data::MicroBatches StepPlan::micro_batches() const {
  data::MicroBatches all;
  for (const data::MicroBatches& shard : shards) all.insert(all.end(), shard.begin(), shard.end());
  return all;
}

StepPlanner::StepPlanner(const data::Dataset& dataset, const model::ModelConfig& model, const TrainConfig& config,
                         const RunPlan& run, const Sharding& sharding)
    : dataset_(dataset),
      order_(dataset.size(), config.seed, config.shuffle_dataset),
      cost_(cost_model_of(model)),
      run_(run),
      per_device_batch_size_(config.per_device_train_batch_size),
      sharding_(sharding) {}

StepPlan StepPlanner::plan(std::int64_t step) const {
  const data::GlobalBatch batch = data::next_global_batch(order_, run_.global_batch_size, run_.samples_after(step));
  StepPlan plan;
  for (std::int64_t sample : batch.samples) {
    plan.tokens += dataset_.length(sample);
    plan.supervised_tokens += dataset_.num_supervised(sample);
  }
  if (plan.supervised_tokens == 0) {
    core::user_error("the batch of step {} has no supervised token in its {} examples: prepare the dataset again",
                     step + 1, batch.samples.size());
  }
  const auto cost_of = [&](std::int64_t sample) { return cost_.of(dataset_.length(sample)); };
  plan.shards = data::micro_batches_of_shards(batch, cost_of, sharding_.num_shards, sharding_.first, sharding_.count,
                                              per_device_batch_size_);
  return plan;
}

data::CostModel cost_model_of(const model::ModelConfig& config) {
  const auto hidden = static_cast<double>(config.hidden_size);
  const auto query_width = static_cast<double>(config.num_attention_heads * config.head_dim);
  const auto key_width = static_cast<double>(config.num_key_value_heads * config.head_dim);
  const double layer_parameters =
      hidden * (2 * query_width + 2 * key_width + 3 * static_cast<double>(config.intermediate_size));
  // A pair of tokens: 2 products forward and 5 in flash backward, over half the square.
  return {.per_token = 2 * layer_parameters, .per_token_pair = 3.5 * query_width};
}

}  // namespace allreco::train
