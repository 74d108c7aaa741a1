// Decoder: a Llama or Mistral decoder over a frozen base with LoRA, forward and backward written out (no autograd
// engine). Not thread-safe; owns its activations; the weights are shared views. Computes where the weights are; batches
// are given on the CPU (pinned, where copying shall not wait), and results come back there.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "model/decoder/key_value_cache.h"
#include "model/decoder/packed_batch.h"
#include "model/decoder/weights.h"
#include "model/lora/lora.h"

namespace allreco::model {

/// Where micro-batches spend their time, and what they keep; each adds to it. To fill it in the host waits for the
/// device at the end of each part.
struct PassReport {
  double forward_ms = 0, loss_head_ms = 0, backward_ms = 0;
  std::int64_t activation_bytes = 0;  // the most that was kept for backward at once
};

/// What one training micro-batch needs to know.
struct TrainPass {
  /// Factor of the loss sum: 1 / supervised tokens of the whole global batch.
  double gradient_scale = 1;
  /// Key of this step's dropout masks (seed and step mixed); masks depend on it, the sample, the position and the
  /// module only.
  std::uint64_t dropout_key = 0;
  /// Keep only the blocks' inputs and compute the rest again in backward.
  bool gradient_checkpointing = false;
  /// Called after backward has left a layer (last layer first, every layer, in this order), when the layer's slice of
  /// the flat gradients is complete. May be empty.
  std::function<void(std::int64_t layer)> layer_done{};
  PassReport* report = nullptr;  // or null
};

class Decoder {
 public:
  /// `lora` may be null (base model only) and must outlive the decoder.
  Decoder(const ModelConfig& config, const Weights& weights, LoraStore* lora);
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  const ModelConfig& config() const;

  /// One micro-batch: forward, loss, backward. Adds gradient_scale * d(sum of NLL)/d(factor) to the store's gradients.
  /// Returns the unscaled sum of NLL over the batch's predictions, in double. REQUIRES a store, and no earlier batch
  /// that this one goes on behind.
  double forward_backward(const PackedBatch& batch, const TrainPass& pass);

  /// log p(target) of every prediction, float64 [M] on the CPU. No dropout. `cache`, where not null, gets the batch's
  /// keys and values at its rows [first_row, first_row + T), and holds those of the batches that it goes on behind.
  at::Tensor log_probabilities(const PackedBatch& batch, KeyValueCache* cache = nullptr);
  KeyValueCache make_cache(std::int64_t num_rows) const;

  /// Logits of logit_rows, float32 [N, V] (float64 in float64 models): for generation, tests and small batches.
  at::Tensor logits(const PackedBatch& batch);

  /// Greedy continuation of each prompt until one of `eos` or `max_new_tokens`; the returned ids exclude the EOS.
  /// Prompts are computed packed; each new token once, against a key-value cache.
  std::vector<std::vector<std::int32_t>> generate_greedy(const std::vector<std::vector<std::int32_t>>& prompts,
                                                         std::int64_t max_new_tokens,
                                                         const std::vector<std::int64_t>& eos);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace allreco::model
