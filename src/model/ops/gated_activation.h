// The gated activation of a decoder's MLP: m = f(gate) * up (Shazeer 2020). float32, float64, bfloat16; computed in
// float32 at least and rounded once.
#pragma once
#include <ATen/core/Tensor.h>

#include "model/ops/backends.h"

namespace allreco::model::ops {

enum class Activation {
  silu,       // SwiGLU: x sigmoid(x)
  gelu_tanh,  // GeGLU, torch's gelu(approximate="tanh"): x/2 (1 + tanh(z)) = x sigmoid(2 z), z = sqrt(2/pi) (x +
              // 0.044715 x^3). As a sigmoid nothing cancels in the left tail
};

/// gate, up [T, F] -> [T, F]
at::Tensor gated_activation(Activation activation, const at::Tensor& gate, const at::Tensor& up);

/// Gradients for gate and up, given dm [T, F]; writes them over gate and up, which are not needed afterwards.
void gated_activation_backward_in_place(Activation activation, const at::Tensor& dm, at::Tensor& gate, at::Tensor& up);

ALLRECO_BOTH_BACKENDS(gated_activation)
ALLRECO_BOTH_BACKENDS(gated_activation_backward_in_place)

}  // namespace allreco::model::ops
