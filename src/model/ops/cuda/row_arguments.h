// From tensors to the arguments of row_launch.h, on any device: the tests run the kernels' source on CPU tensors.
#pragma once
#include <ATen/core/Tensor.h>

#include "model/ops/cuda/row_launch.h"

namespace allreco::model::ops::cuda {

/// `delta`: null, or added to x in place.
RmsNormArguments rms_norm_arguments(at::Tensor& y, at::Tensor& rstd, const at::Tensor& x, const at::Tensor* delta,
                                    const at::Tensor& weight, double eps);
RmsNormArguments rms_norm_recompute_arguments(at::Tensor& y, const at::Tensor& x, const at::Tensor& rstd,
                                              const at::Tensor& weight);
RmsNormBackwardArguments rms_norm_backward_arguments(at::Tensor& dx, const at::Tensor& dy, const at::Tensor& x,
                                                     const at::Tensor& rstd, const at::Tensor& weight);
RopeArguments rope_arguments(at::Tensor& x, const at::Tensor& positions, const at::Tensor& cos, const at::Tensor& sin,
                             bool inverse);
SwigluArguments swiglu_arguments(at::Tensor& m, const at::Tensor& gate, const at::Tensor& up);
SwigluBackwardArguments swiglu_backward_arguments(const at::Tensor& dm, at::Tensor& gate, at::Tensor& up);
DropoutArguments dropout_arguments(at::Tensor& y, const at::Tensor& x, const at::Tensor& row_keys, std::uint64_t key,
                                   double p);
CrossEntropyArguments cross_entropy_arguments(at::Tensor& logits, at::Tensor& losses, const at::Tensor& targets,
                                              double gradient_scale);
LogSumExpArguments log_sum_exp_arguments(at::Tensor& log_sum_exp, const at::Tensor& logits);
GatherArguments gather_arguments(at::Tensor& log_p, const at::Tensor& logits, const at::Tensor& log_sum_exp,
                                 const at::Tensor& rows, const at::Tensor& targets);

}  // namespace allreco::model::ops::cuda
