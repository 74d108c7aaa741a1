#include "model/ops/gated_activation.h"

#include <ATen/ops/empty.h>

#include "model/ops/cpu/gated_activation_kernels.inc"
#include "model/ops/cpu/rows.h"

namespace allreco::model::ops::cpu {

at::Tensor gated_activation(Activation activation, const at::Tensor& gate, const at::Tensor& up) {
  at::Tensor m = at::empty({gate.size(0), gate.size(1)}, gate.options());  // [T, F]
  dispatch(gate, [&](auto type) {
    using T = decltype(type);
    const auto& table = kernels<GatedActivationKernels<T>>();
    const auto kernel = activation == Activation::silu ? table.silu : table.gelu_tanh;
    const std::int64_t width = gate.size(1), gate_stride = gate.stride(0), up_stride = up.stride(0);
    T* const m_data = elements<T>(m);
    const T* const g = elements<T>(gate);
    const T* const u = elements<T>(up);
    for_rows(gate.size(0), width,
             [&](std::int64_t t) { kernel(m_data + t * width, g + t * gate_stride, u + t * up_stride, width); });
  });
  return m;
}

void gated_activation_backward_in_place(Activation activation, const at::Tensor& dm, at::Tensor& gate, at::Tensor& up) {
  dispatch(gate, [&](auto type) {
    using T = decltype(type);
    const auto& table = kernels<GatedActivationKernels<T>>();
    const auto kernel = activation == Activation::silu ? table.silu_backward : table.gelu_tanh_backward;
    const std::int64_t dm_stride = dm.stride(0), gate_stride = gate.stride(0), up_stride = up.stride(0);
    const T* const d = elements<T>(dm);
    T* const g = elements<T>(gate);
    T* const u = elements<T>(up);
    for_rows(gate.size(0), gate.size(1),
             [&](std::int64_t t) { kernel(d + t * dm_stride, g + t * gate_stride, u + t * up_stride, gate.size(1)); });
  });
}

}  // namespace allreco::model::ops::cpu
