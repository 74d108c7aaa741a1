#include "model/ops/rope.h"

#include "core/check.h"
#include "model/ops/checks.h"

namespace allreco::model::ops {

void rope_in_place(at::Tensor& x, const at::Tensor& positions, const at::Tensor& cos, const at::Tensor& sin,
                   bool inverse) {
  check_floating("rope", "x", x);
  check_like("rope", "x", x, x, {-1, -1, -1});
  core::require(x.size(2) % 2 == 0, "rope: the head dimension must be even");
  check_dense("rope", "positions", positions, at::kLong, x, {x.size(0)});
  check_dense("rope", "cos", cos, accumulate_dtype(x), x, {-1, x.size(2) / 2});
  check_dense("rope", "sin", sin, accumulate_dtype(x), x, {cos.size(0), x.size(2) / 2});
  x.is_cuda() ? cuda::rope_in_place(x, positions, cos, sin, inverse)
              : cpu::rope_in_place(x, positions, cos, sin, inverse);
}

}  // namespace allreco::model::ops
