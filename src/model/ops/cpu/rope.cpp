#include "model/ops/rope.h"

#include "core/check.h"
#include "model/ops/cpu/rope_kernels.inc"
#include "model/ops/cpu/rows.h"

namespace allreco::model::ops::cpu {

void rope_in_place(at::Tensor& x, const at::Tensor& positions, const at::Tensor& cos, const at::Tensor& sin,
                   bool inverse) {
  const auto* const position = elements<std::int64_t>(positions);
  for (std::int64_t t = 0; t < x.size(0); ++t) {
    core::require(position[t] >= 0 && position[t] < cos.size(0), "rope: a position is not in the tables");
  }
  dispatch(x, [&](auto type) {
    using T = decltype(type);
    using Acc = AccumulatorOf<T>;
    const auto kernel = kernels<RopeKernels<T>>().rotate;
    const std::int64_t heads = x.size(1), half = x.size(2) / 2, row_stride = x.stride(0), head_stride = x.stride(1);
    T* const data = elements<T>(x);
    const Acc* const cosines = elements<Acc>(cos);
    const Acc* const sines = elements<Acc>(sin);
    for_rows(x.size(0), heads * half * 2, [&](std::int64_t t) {
      kernel(data + t * row_stride, heads, head_stride, half, cosines + position[t] * half, sines + position[t] * half,
             inverse ? Acc(-1) : Acc(1));
    });
  });
}

}  // namespace allreco::model::ops::cpu
