// Block: one decoder layer, forward and backward side by side, one call a term.
// Legend: T rows of the stream, N rows whose output is wanted (T, except in the last block), D hidden, F intermediate,
// H heads, K key-value heads, E head dim, R the sum of r over a run.
#pragma once
#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "model/decoder/key_value_cache.h"
#include "model/decoder/rotary_table.h"
#include "model/decoder/weights.h"
#include "model/families/config.h"
#include "model/lora/lora.h"
#include "model/lora/lora_linear.h"
#include "model/ops/attention.h"
#include "model/ops/rms_norm.h"

namespace allreco::model {

/// Query rows of a block with what belongs to each: all T rows of the stream, or the N that the loss needs.
struct QueryRows {
  at::Tensor indices;    // int64 [N] stream rows; undefined: all of them
  at::Tensor positions;  // int64 [N]
  at::Tensor row_keys;   // int64 [N] for dropout; undefined without
  std::vector<ops::AttentionSpan> spans;
};

/// What all blocks of one pass over a stream share.
struct StreamContext {
  QueryRows all;                   // every row of the stream
  std::vector<RotaryTable> ropes;  // of the config
  double dropout_probability = 0;
  std::uint64_t dropout_key = 0;
  KeyValueCache* cache = nullptr;  // generation: keys and values are stored there and read from there
};

/// A norm's input and what it was scaled by; undefined where the family lacks the norm.
struct NormActivations {
  at::Tensor x;     // [rows, D], of heads [rows * heads, E]
  at::Tensor rstd;  // [rows]
};

/// What backward needs of forward; the norms' outputs and the gated product are computed again.
struct BlockActivations {
  at::Tensor x;                    // [T, D] input
  at::Tensor rstd1;                // [T]
  at::Tensor q;                    // [N, H, E] rotated
  at::Tensor k, v;                 // [T, K, E] rotated, plain
  ops::AttentionOutput attention;  // out [N, H, E]
  at::Tensor x1;                   // [N, D] after the attention's residual
  at::Tensor rstd2;                // [N]
  at::Tensor gate, up;             // [N, F]
  NormActivations q_norm, k_norm, attention_output_norm, mlp_output_norm;
  LoraLinearActivations run_q, run_kv, run_o, run_gate_up, run_down;
};

/// The memory that they hold, each buffer once.
std::int64_t bytes_of(const std::vector<BlockActivations>& activations);

class Block {
 public:
  /// `lora` may be null: base only. Backward adds to `gradients`; null: forward only.
  Block(const ModelConfig& config, const LayerWeights& weights, std::int64_t layer, const LoraStore* lora,
        LoraLayerGradients* gradients);

  /// x [T, D] -> [N, D] for the query rows `rows`. `activations`, where not null, receives what backward needs.
  at::Tensor forward(const at::Tensor& x, const QueryRows& rows, const StreamContext& context,
                     BlockActivations* activations) const;

  /// dy [N, D] (overwritten) -> dx [T, D]; adds the layer's LoRA gradients. Without `want_dx` it stops as soon as the
  /// last factor has its gradient and returns an undefined tensor. Uses the activations up.
  at::Tensor backward(at::Tensor dy, BlockActivations& activations, const QueryRows& rows, const StreamContext& context,
                      bool want_dx);

 private:
  DropoutPlace dropout_of(const QueryRows& rows, const StreamContext& context) const;
  ops::NormWeight norm(Norm which) const { return {weights_[which], config_.norm_plus_one}; }
  /// Norms that only some families have, over the last dimension: without one, y is x and dx is dy.
  at::Tensor optional_norm(Norm which, const at::Tensor& x, NormActivations& kept) const;
  at::Tensor optional_norm_backward(Norm which, const at::Tensor& dy, const NormActivations& kept) const;
  /// In a layer that has a rope: turns x [rows, heads, E] by its positions, or back.
  void rotate(at::Tensor& x, const QueryRows& rows, const StreamContext& context, bool inverse = false) const;
  at::Tensor input_norm_backward(const ops::AttentionGradients& d, const BlockActivations& a, const QueryRows& rows,
                                 const StreamContext& context, bool want);

  const ModelConfig& config_;
  const LayerWeights& weights_;
  std::int64_t layer_;
  LayerAttention attention_;
  double attention_scale_;
  LoraLinear q_, kv_, o_, gate_up_, down_;
};

}  // namespace allreco::model
