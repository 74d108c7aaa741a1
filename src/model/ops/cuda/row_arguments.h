// From tensors to the arguments of row_launch.h, on any device: the tests run the kernels' source on CPU tensors.
#pragma once
#include <ATen/core/Tensor.h>

#include <optional>

#include "model/ops/cuda/row_launch.h"
#include "model/ops/gated_activation.h"
#include "model/ops/rms_norm.h"

namespace allreco::model::ops::cuda {

/// `delta`: null, or added to x in place.
RmsNormArguments rms_norm_arguments(at::Tensor& y, at::Tensor& rstd, const at::Tensor& x, const at::Tensor* delta,
                                    const NormWeight& weight, double eps);
RmsNormArguments rms_norm_recompute_arguments(at::Tensor& y, const at::Tensor& x, const at::Tensor& rstd,
                                              const NormWeight& weight);
RmsNormBackwardArguments rms_norm_backward_arguments(at::Tensor& dx, const at::Tensor& dy, const at::Tensor& x,
                                                     const at::Tensor& rstd, const NormWeight& weight);
RopeArguments rope_arguments(at::Tensor& x, const at::Tensor& positions, const at::Tensor& cos, const at::Tensor& sin,
                             bool inverse);
GatedActivationArguments gated_activation_arguments(Activation activation, at::Tensor& m, const at::Tensor& gate,
                                                    const at::Tensor& up);
GatedActivationBackwardArguments gated_activation_backward_arguments(Activation activation, const at::Tensor& dm,
                                                                     at::Tensor& gate, at::Tensor& up);
DropoutArguments dropout_arguments(at::Tensor& y, const at::Tensor& x, const at::Tensor& row_keys, std::uint64_t key,
                                   double p);
CrossEntropyArguments cross_entropy_arguments(at::Tensor& logits, at::Tensor& losses, const at::Tensor& targets,
                                              double gradient_scale, std::optional<double> soft_cap);
LogSumExpArguments log_sum_exp_arguments(at::Tensor& log_sum_exp, const at::Tensor& logits,
                                         std::optional<double> soft_cap);
GatherArguments gather_arguments(at::Tensor& log_p, const at::Tensor& logits, const at::Tensor& log_sum_exp,
                                 const at::Tensor& rows, const at::Tensor& targets, std::optional<double> soft_cap);

}  // namespace allreco::model::ops::cuda
