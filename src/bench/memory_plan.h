// What memory a training would take, from the headers and the shape alone: nothing is loaded or allocated. The same
// kinds as the benchmark measures (training_bench.h), which tests/bench holds against each other.
#pragma once
#include <cstdint>
#include <string>

#include "bench/config.h"
#include "bench/training_bench.h"
#include "dist/session.h"

namespace allreco::bench {

/// The micro-batch that a plan is made for: the largest of a step.
struct BatchShape {
  std::int64_t tokens = 0;             // T
  std::int64_t supervised_tokens = 0;  // N: rows of the last block, which computes no others
};

/// Kept for backward: the sum over the blocks of what BlockActivations (model/decoder/block.h) holds, or, with
/// checkpointing, the blocks' inputs and one block.
std::int64_t activation_bytes(const model::ModelConfig& config, const model::LoraConfig& lora, at::ScalarType dtype,
                              const BatchShape& batch, bool gradient_checkpointing);

/// Parameters, gradients, moments, and a compute copy where the dtype is another.
std::int64_t lora_state_bytes(const model::ModelConfig& config, const model::LoraConfig& lora, at::ScalarType dtype,
                              const std::string& optim);

/// What backward of a block, or the loss head, holds beside the activations, whichever is more; and, of a base in NF4,
/// the largest projection, dequantised.
std::int64_t workspace_bytes(const model::ModelConfig& config, at::ScalarType dtype, const BatchShape& batch,
                             bool quantized, bool on_gpu);

struct MemoryPlan {
  std::string model;
  std::string storage;
  at::ScalarType dtype = at::kFloat;
  bool on_gpu = false;
  BatchShape batch;
  MemoryKinds kinds;                 // of one rank
  std::int64_t shared_by_ranks = 0;  // of `kinds.base`: held once a node, however many ranks it has
  std::int64_t available = 0;        // to this process here, now; 0: not known (a GPU)
};

/// One rank. UserError for a model or options that do not go together.
MemoryPlan plan_memory(const BenchConfig& config);

core::Json to_json(const MemoryPlan& plan);
std::string text_of(const MemoryPlan& plan);

}  // namespace allreco::bench
