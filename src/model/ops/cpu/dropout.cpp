#include "model/ops/dropout.h"

#include <ATen/ops/empty.h>

#include "core/random.h"
#include "model/ops/cpu/dropout_kernels.inc"
#include "model/ops/cpu/rows.h"

namespace allreco::model::ops::cpu {

at::Tensor dropout(const at::Tensor& x, const at::Tensor& row_keys, std::uint64_t key, double p) {
  at::Tensor y = at::empty({x.size(0), x.size(1)}, x.options());  // [T, D]
  const std::uint32_t threshold = dropout_threshold(p);
  dispatch(x, [&](auto type) {
    using T = decltype(type);
    const auto kernel = kernels<DropoutKernels<T>>().drop;
    const std::int64_t width = x.size(1), x_stride = x.stride(0);
    T* const y_data = elements<T>(y);
    const T* const x_data = elements<T>(x);
    const auto* const row_key = elements<std::int64_t>(row_keys);
    for_rows(x.size(0), width, [&](std::int64_t t) {
      const std::uint64_t seed = core::mix_key(key, {static_cast<std::uint64_t>(row_key[t])});
      kernel(y_data + t * width, x_data + t * x_stride, width, seed, threshold,
             static_cast<AccumulatorOf<T>>(1 / (1 - p)));
    });
  });
  return y;
}

void dropout_add(at::Tensor& y, const at::Tensor& x, const at::Tensor& row_keys, std::uint64_t key, double p) {
  y.add_(dropout(x, row_keys, key, p));
}

}  // namespace allreco::model::ops::cpu
