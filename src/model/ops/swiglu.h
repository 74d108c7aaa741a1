// SwiGLU: m = silu(gate) * up (Shazeer 2020). float32, float64, bfloat16; computed in float32 at least and rounded
// once.
#pragma once
#include <ATen/core/Tensor.h>

#include <utility>

namespace allreco::model::ops {

/// gate, up [T, F] -> [T, F]
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);

/// Gradients for gate and up, given dm [T, F]; writes them over gate and up, which are not needed afterwards.
void swiglu_backward_in_place(const at::Tensor& dm, at::Tensor& gate, at::Tensor& up);

}  // namespace allreco::model::ops
