#include "model/ops/swiglu.h"

#include "model/ops/backends.h"
#include "model/ops/checks.h"

namespace allreco::model::ops {

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  check_floating("swiglu", "gate", gate);
  check_like("swiglu", "gate", gate, gate, {-1, -1});
  check_like("swiglu", "up", up, gate, {gate.size(0), gate.size(1)});
  return gate.is_cuda() ? cuda::swiglu(gate, up) : cpu::swiglu(gate, up);
}

void swiglu_backward_in_place(const at::Tensor& dm, at::Tensor& gate, at::Tensor& up) {
  check_floating("swiglu_backward", "dm", dm);
  check_like("swiglu_backward", "dm", dm, dm, {-1, -1});
  check_like("swiglu_backward", "gate", gate, dm, {dm.size(0), dm.size(1)});
  check_like("swiglu_backward", "up", up, dm, {dm.size(0), dm.size(1)});
  dm.is_cuda() ? cuda::swiglu_backward_in_place(dm, gate, up) : cpu::swiglu_backward_in_place(dm, gate, up);
}

}  // namespace allreco::model::ops
