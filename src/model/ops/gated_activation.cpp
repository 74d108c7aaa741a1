#include "model/ops/gated_activation.h"

#include "model/ops/checks.h"

namespace allreco::model::ops {

at::Tensor gated_activation(Activation activation, const at::Tensor& gate, const at::Tensor& up) {
  check_floating("gated_activation", "gate", gate);
  check_like("gated_activation", "gate", gate, gate, {-1, -1});
  check_like("gated_activation", "up", up, gate, {gate.size(0), gate.size(1)});
  return gate.is_cuda() ? cuda::gated_activation(activation, gate, up) : cpu::gated_activation(activation, gate, up);
}

void gated_activation_backward_in_place(Activation activation, const at::Tensor& dm, at::Tensor& gate, at::Tensor& up) {
  constexpr const char* kOp = "gated_activation_backward";
  check_floating(kOp, "dm", dm);
  check_like(kOp, "dm", dm, dm, {-1, -1});
  check_like(kOp, "gate", gate, dm, {dm.size(0), dm.size(1)});
  check_like(kOp, "up", up, dm, {dm.size(0), dm.size(1)});
  dm.is_cuda() ? cuda::gated_activation_backward_in_place(activation, dm, gate, up)
               : cpu::gated_activation_backward_in_place(activation, dm, gate, up);
}

}  // namespace allreco::model::ops
