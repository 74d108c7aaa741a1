// RMSNorm over the last dimension (Zhang & Sennrich 2019) as transformers computes it: rstd in float32, the normalised
// value rounded to x's dtype, then times weight. dtypes: float32, float64, bfloat16. Legend: T tokens, D hidden.
#pragma once
#include <ATen/core/Tensor.h>

namespace allreco::model::ops {

struct NormOutput {
  at::Tensor y;     // [T, D], dtype of x
  at::Tensor rstd;  // [T], float32 (float64 for float64): 1 / sqrt(mean(x^2) + eps)
};

/// y = x * rstd * weight. x [T, D], weight [D].
NormOutput rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

/// x += delta in place, then rms_norm of the sum: the residual connection and the norm after it in one pass.
NormOutput add_rms_norm(at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight, double eps);

/// The normalised values again from x and rstd (gradient checkpointing keeps no y).
at::Tensor rms_norm_recompute(const at::Tensor& x, const at::Tensor& rstd, const at::Tensor& weight);

/// dx += the gradient through the norm: rstd * (w*dy - x * rstd^2 * mean(w*dy*x)). The weight is frozen.
void rms_norm_backward_add(at::Tensor& dx, const at::Tensor& dy, const at::Tensor& x, const at::Tensor& rstd,
                           const at::Tensor& weight);

}  // namespace allreco::model::ops
