// RMSNorm over the last dimension (Zhang & Sennrich 2019) as transformers computes it, in one of two forms. dtypes:
// float32, float64, bfloat16. Many short rows are as good as few long ones: the norms of heads are those of [T * H, E].
// Legend: T rows, D their width.
#pragma once
#include <ATen/core/Tensor.h>

#include <utility>

#include "model/ops/backends.h"

namespace allreco::model::ops {

/// What the normalised value n = x * rstd, computed in float32 (float64 for float64), becomes:
///   Llama's: n is rounded to x's dtype and multiplied by the weight (LlamaRMSNorm);
///   plus_one: n * (1 + weight) in the type computed in, rounded once (Gemma3RMSNorm).
struct NormWeight {
  NormWeight() = default;
  NormWeight(at::Tensor tensor,
             bool adds_one = false)  // NOLINT(google-explicit-constructor): a weight alone is Llama's
      : weight(std::move(tensor)), plus_one(adds_one) {}

  at::Tensor weight;  // [D], dtype of x
  bool plus_one = false;
};

struct NormOutput {
  at::Tensor y;     // [T, D], dtype of x
  at::Tensor rstd;  // [T], float32 (float64 for float64): 1 / sqrt(mean(x^2) + eps)
};

/// x [T, D] -> y in its form. x is kept as it is: backward needs it.
NormOutput rms_norm(const at::Tensor& x, const NormWeight& weight, double eps);

/// x += delta in place, then rms_norm of the sum: the residual connection and the norm after it in one pass.
NormOutput add_rms_norm(at::Tensor& x, const at::Tensor& delta, const NormWeight& weight, double eps);

/// The normalised values again from x and rstd (gradient checkpointing keeps no y).
at::Tensor rms_norm_recompute(const at::Tensor& x, const at::Tensor& rstd, const NormWeight& weight);

/// dx += the gradient through the norm: rstd * (w*dy - x * rstd^2 * mean(w*dy*x)), w the weight or 1 + weight, which
/// is frozen.
void rms_norm_backward_add(at::Tensor& dx, const at::Tensor& dy, const at::Tensor& x, const at::Tensor& rstd,
                           const NormWeight& weight);

ALLRECO_BOTH_BACKENDS(rms_norm)
ALLRECO_BOTH_BACKENDS(add_rms_norm)
ALLRECO_BOTH_BACKENDS(rms_norm_recompute)
ALLRECO_BOTH_BACKENDS(rms_norm_backward_add)

}  // namespace allreco::model::ops
