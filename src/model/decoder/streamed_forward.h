// StreamedForward: the logits of a few tokens through a model whose weights pass by one layer at a time, for models
// that should not be in memory whole. float32.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/decoder/block.h"
#include "model/decoder/packed_batch.h"
#include "model/decoder/weights.h"
#include "model/lora/lora.h"

namespace allreco::model {

class StreamedForward {
 public:
  /// `lora` may be null; both must outlive this.
  StreamedForward(const ModelConfig& config, const LoraStore* lora, const std::vector<std::int32_t>& tokens);

  void embed(const at::Tensor& embedding);  // [V, D]
  /// Layers in order, from 0.
  void layer(const LayerWeights& weights);
  /// [tokens - 1, V]. After the last layer.
  at::Tensor logits(const at::Tensor& final_norm, const at::Tensor& lm_head) const;

 private:
  const ModelConfig& config_;
  const LoraStore* lora_;
  PackedBatch batch_;
  StreamContext context_;
  at::Tensor x_;  // [T, D]
  std::int64_t num_layers_ = 0;
};

}  // namespace allreco::model
