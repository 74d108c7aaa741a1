// From attention spans to calls of a varlen attention kernel. A call takes pieces of one kind; a span that has several
// pieces takes part in several calls, whose results are merged by their log-sum-exp (attention.cpp).
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "model/ops/attention.h"

namespace allreco::model::ops::cuda {

/// Queries [q_begin, q_begin + q_length) over keys [k_begin, k_begin + k_length). Query i sees key j if
///   causal: j <= i + k_length - q_length (aligned at the end), and
///   hidden_before: j > i + *hidden_before.
struct AttentionPiece {
  std::int64_t q_begin = 0, q_length = 0, k_begin = 0, k_length = 0;
  bool causal = false;
  std::optional<std::int64_t> hidden_before;
};

/// Pieces of one kind, no query row in two of them.
struct AttentionCalls {
  std::vector<AttentionPiece> pieces;
  bool causal = false;
  /// Causal: the window, alike for all pieces. Where `masked`, each piece has its own hidden_before instead.
  std::optional<std::int64_t> window;
  bool masked = false;  // needs a mask that no flash kernel has
};

/// The pieces of all spans, sorted into as few calls as their kinds allow. Keys that a window hides from all queries of
/// a piece are left out; adjacent ranges are joined; neighbouring spans over the same full range are one piece.
std::vector<AttentionCalls> attention_calls(const std::vector<AttentionSpan>& spans,
                                            std::optional<std::int64_t> window);

/// One call's tensors, its pieces' rows one behind another. Both primitives below compute the same.
struct PackedCall {
  at::Tensor q;     // [Tq, H, E]
  at::Tensor k, v;  // [Tk, K, E]
  const AttentionCalls& call;
  double scale = 1;
};

constexpr bool flash_takes_head_dim(std::int64_t head_dim) { return head_dim % 8 == 0 && head_dim <= 256; }

/// Libtorch's varlen flash attention: CUDA, bfloat16, head_dim a multiple of 8 up to 256, and no masked call.
bool flash_takes(const PackedCall& packed);
AttentionOutput flash_forward(const PackedCall& packed);
AttentionGradients flash_backward(const PackedCall& packed, const at::Tensor& dout, const AttentionOutput& merged);

/// Piece by piece with a softmax over its scores; any device and dtype. Memory: a tile of scores in float32 at least.
AttentionOutput plain_forward(const PackedCall& packed);
AttentionGradients plain_backward(const PackedCall& packed, const at::Tensor& dout, const AttentionOutput& merged);

}  // namespace allreco::model::ops::cuda
