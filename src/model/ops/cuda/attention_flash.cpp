// Libtorch's varlen flash attention (Dao 2023), the one part of this folder that only a GPU can run.
#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "core/check.h"
#include "model/ops/cuda/attention_calls.h"
#include "model/ops/cuda/upload.h"

namespace allreco::model::ops::cuda {
namespace {

/// What the kernel wants beside the tensors.
struct Sequences {
  at::Tensor q_offsets, k_offsets;  // int32 [pieces + 1], on the device
  std::int64_t longest_q = 0, longest_k = 0;
  /// A window of W keys is the query's own and W - 1 to its left.
  std::optional<std::int64_t> window_left, window_right;
};

Sequences sequences_of(const PackedCall& packed) {
  Sequences sequences;
  std::vector<std::int32_t> q_offsets{0}, k_offsets{0};
  for (const AttentionPiece& piece : packed.call.pieces) {
    q_offsets.push_back(q_offsets.back() + static_cast<std::int32_t>(piece.q_length));
    k_offsets.push_back(k_offsets.back() + static_cast<std::int32_t>(piece.k_length));
    sequences.longest_q = std::max(sequences.longest_q, piece.q_length);
    sequences.longest_k = std::max(sequences.longest_k, piece.k_length);
  }
  sequences.q_offsets = upload(q_offsets, packed.q.device());
  sequences.k_offsets = upload(k_offsets, packed.q.device());
  if (packed.call.window) {
    sequences.window_left = *packed.call.window - 1;
    sequences.window_right = 0;
  }
  return sequences;
}

}  // namespace

bool flash_takes(const PackedCall& packed) {
  return packed.q.is_cuda() && packed.q.scalar_type() == at::kBFloat16 && flash_takes_head_dim(packed.q.size(2)) &&
         !packed.call.masked;
}

AttentionOutput flash_forward(const PackedCall& packed) {
  const Sequences s = sequences_of(packed);
  // All optional arguments are typed: plain nullopt is ambiguous with the overload for quantised tensors.
  const auto [out, lse, rng_state, unused, debug_mask] =
      at::_flash_attention_forward(packed.q, packed.k, packed.v, s.q_offsets, s.k_offsets, s.longest_q, s.longest_k,
                                   /*dropout_p=*/0.0, packed.call.causal, /*return_debug_mask=*/false,
                                   std::optional<double>(packed.scale), s.window_left, s.window_right);
  if (lse.dim() != 2 || lse.size(0) != packed.q.size(1) || lse.size(1) != packed.q.size(0)) {
    core::fault("flash attention: expected a log-sum-exp [heads, rows], this libtorch gives another layout");
  }
  return {out, lse.transpose(0, 1)};
}

AttentionGradients flash_backward(const PackedCall& packed, const at::Tensor& dout, const AttentionOutput& merged) {
  const Sequences s = sequences_of(packed);
  const auto no_dropout = packed.q.options().dtype(at::kUInt64);
  const auto [dq, dk, dv] = at::_flash_attention_backward(
      dout.contiguous(), packed.q, packed.k, packed.v, merged.out.contiguous(),
      merged.log_sum_exp.transpose(0, 1).contiguous(), s.q_offsets, s.k_offsets, s.longest_q, s.longest_k,
      /*dropout_p=*/0.0, packed.call.causal, at::empty({2}, no_dropout), at::empty({}, no_dropout),
      std::optional<double>(packed.scale), s.window_left, s.window_right);
  return {dq, dk, dv};
}

}  // namespace allreco::model::ops::cuda
