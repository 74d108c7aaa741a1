// BenchConfig: what `allreco bench` measures. options() says what each field means and may hold.
#pragma once
#include <cstdint>
#include <string>

#include "core/options.h"
#include "eval/base_model.h"
#include "model/lora/lora.h"
#include "train/config.h"

namespace allreco::bench {

struct BenchConfig {
  bool collectives = false;
  bool plan = false;
  std::int64_t sequence_length = 512;
  std::int64_t warmup_steps = 2;
  std::int64_t max_steps = 10;
  std::string output;
  eval::BaseModelOptions base;
  model::LoraConfig lora;
  train::TrainConfig train;  // of the step

  core::OptionGroups options() {
    using core::between;
    return {
        {"What to measure",
         {{"collectives", collectives, "Latency and bandwidth of the data plane between the ranks; needs no model."},
          {"plan", plan, "Say what memory the training would take, from the shape alone: nothing is loaded."},
          {"sequence_length", sequence_length, between(2, 1e6), "Tokens of each example of random tokens."},
          {"dataset", train.dataset, "Measure with the training split of a prepared dataset instead of random tokens."},
          {"warmup_steps", warmup_steps, between(0, 1e6), "Steps before the ones that are measured."},
          {"max_steps", max_steps, between(1, 1e6), "Steps that are measured."},
          {"output", output, "Also write the result into this file, as JSON; one that exists is not replaced."}}},
        {"The step",
         {{"per_device_train_batch_size", train.per_device_train_batch_size, between(1, 1e6),
           "Examples that a rank computes at once (a micro-batch)."},
          {"gradient_accumulation_steps", train.gradient_accumulation_steps, between(1, 1e6),
           "Micro-batches of a rank per step."},
          {"global_batch_size", train.global_batch_size, between(0, 1e9),
           "Examples per step over all ranks; 0: the two above times the number of ranks."},
          {"gradient_checkpointing", train.gradient_checkpointing,
           "Keep only the blocks' inputs and compute the rest again: less memory, more time."},
          {"optim", train.optim, {"adamw_torch", "adamw_8bit", "adamw_bnb_8bit"}, "The optimiser."},
          {"learning_rate", train.learning_rate, core::above_to(0, 1e39), "Constant over the steps."},
          {"seed", train.seed, "Seed of the random tokens, the sample order, LoRA's start and dropout."},
          {"deterministic", train.deterministic, "Sum gradients in a fixed tree, as in train."},
          {"virtual_shards", train.virtual_shards, between(1, 4096),
           "With deterministic: the parts of a global batch."},
          {"overlap_grad_reduce", train.overlap_grad_reduce, "Sum gradients over the ranks while backward goes on."},
          {"nccl_max_ctas", train.nccl_max_ctas, between(0, 64),
           "On GPUs: the most thread blocks of NCCL's kernels; 0: NCCL's own choice."},
          dist::timeout_option(train.ddp_timeout)}}};
  }
};

/// What no single option can say of itself. UserError naming the options.
void validate(const BenchConfig& config);

}  // namespace allreco::bench
