// The row ops by kernels of their own, see row_launch.h: from tensors to pointers, on the current stream of the
// tensors' GPU. Arguments and results are those of the ops (ops/*.h).
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "model/ops/gated_activation.h"
#include "model/ops/rms_norm.h"

namespace allreco::model::ops::cuda {

/// On a GPU, float32 or bfloat16, not empty, fewer than 2^31 rows. All else goes through ATen.
bool fused_takes(const at::Tensor& rows);

/// `delta`: null, or added to x in place first.
NormOutput fused_rms_norm(const at::Tensor& x, const at::Tensor* delta, const NormWeight& weight, double eps);
at::Tensor fused_rms_norm_recompute(const at::Tensor& x, const at::Tensor& rstd, const NormWeight& weight);
void fused_rms_norm_backward_add(at::Tensor& dx, const at::Tensor& dy, const at::Tensor& x, const at::Tensor& rstd,
                                 const NormWeight& weight);
void fused_rope_in_place(at::Tensor& x, const at::Tensor& positions, const at::Tensor& cos, const at::Tensor& sin,
                         bool inverse);
at::Tensor fused_gated_activation(Activation activation, const at::Tensor& gate, const at::Tensor& up);
void fused_gated_activation_backward_in_place(Activation activation, const at::Tensor& dm, at::Tensor& gate,
                                              at::Tensor& up);
at::Tensor fused_dropout(const at::Tensor& x, const at::Tensor& row_keys, std::uint64_t key, double p);
void fused_dropout_add(at::Tensor& y, const at::Tensor& x, const at::Tensor& row_keys, std::uint64_t key, double p);
at::Tensor fused_cross_entropy_with_gradient(at::Tensor& logits, const at::Tensor& targets, double gradient_scale,
                                             std::optional<double> soft_cap);
at::Tensor fused_gather_log_softmax(const at::Tensor& logits, const at::Tensor& rows, const at::Tensor& targets,
                                    std::optional<double> soft_cap);

}  // namespace allreco::model::ops::cuda
