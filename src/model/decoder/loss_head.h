// The loss head: final norm, output projection and cross-entropy for the rows that need logits, in chunks: a full
// [rows, vocabulary] tensor never exists. Legend: N rows, M predictions, D hidden, V vocabulary.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

#include "model/decoder/weights.h"
#include "model/families/config.h"
#include "model/ops/rms_norm.h"

namespace allreco::model {

class LossHead {
 public:
  LossHead(const ModelConfig& config, const Weights& weights) : config_(config), weights_(weights) {}

  struct Loss {
    at::Tensor nll_sum;  // float64 scalar, on the device: reading it waits for the device
    at::Tensor dx;       // [N, D]: gradient_scale * d(nll_sum)/dx
  };
  /// x [N, D] the last block's output, targets int64 [N].
  Loss loss_and_gradient(const at::Tensor& x, const at::Tensor& targets, double gradient_scale) const;

  /// log p(targets[i]) at row prediction_rows[i], float64 [M], on x's device; the int64 [M] tensors are given on the
  /// CPU.
  at::Tensor log_probabilities(const at::Tensor& x, const at::Tensor& prediction_rows, const at::Tensor& targets) const;

  /// [N, V] in float32 (float64 in float64 models).
  at::Tensor logits(const at::Tensor& x) const;

 private:
  /// Rows whose logits fit the chunk budget.
  std::int64_t rows_per_chunk() const;
  ops::NormWeight final_norm() const { return {weights_.final_norm, config_.norm_plus_one}; }

  const ModelConfig& config_;
  const Weights& weights_;
};

}  // namespace allreco::model
