#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "model/ops/backends.h"
#include "model/ops/checks.h"
#include "model/ops/cpu/rows.h"

namespace allreco::model::ops::cpu {
namespace {

/// x is written only with a delta.
NormOutput norm(const at::Tensor& x, const at::Tensor* delta, const at::Tensor& weight, double eps) {
  NormOutput output{at::empty({x.size(0), x.size(1)}, x.options()),
                    at::empty({x.size(0)}, x.options().dtype(accumulate_dtype(x)))};
  dispatch(x, [&](auto type) {
    using T = decltype(type);
    const auto kernel = kernel_table().of<T>().rms_norm;
    const std::int64_t hidden = x.size(1), x_stride = x.stride(0), delta_stride = delta ? delta->stride(0) : 0;
    T* const y = elements<T>(output.y);
    T* const x_data = elements<T>(x);
    const T* const delta_data = delta ? elements<T>(*delta) : nullptr;
    const T* const w = elements<T>(weight);
    auto* const rstd = elements<AccumulatorOf<T>>(output.rstd);
    for_rows(x.size(0), hidden, [&](std::int64_t t) {
      const T* const d = delta_data ? delta_data + t * delta_stride : nullptr;
      rstd[t] = kernel(y + t * hidden, x_data + t * x_stride, d, w, hidden, eps);
    });
  });
  return output;
}

}  // namespace

NormOutput rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) { return norm(x, nullptr, weight, eps); }

NormOutput add_rms_norm(at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight, double eps) {
  return norm(x, &delta, weight, eps);
}

at::Tensor rms_norm_recompute(const at::Tensor& x, const at::Tensor& rstd, const at::Tensor& weight) {
  at::Tensor y = at::empty({x.size(0), x.size(1)}, x.options());  // [T, D]
  dispatch(x, [&](auto type) {
    using T = decltype(type);
    const auto kernel = kernel_table().of<T>().rms_norm_recompute;
    const std::int64_t hidden = x.size(1), x_stride = x.stride(0);
    T* const y_data = elements<T>(y);
    const T* const x_data = elements<T>(x);
    const T* const w = elements<T>(weight);
    const auto* const r = elements<AccumulatorOf<T>>(rstd);
    for_rows(x.size(0), hidden,
             [&](std::int64_t t) { kernel(y_data + t * hidden, x_data + t * x_stride, r[t], w, hidden); });
  });
  return y;
}

void rms_norm_backward_add(at::Tensor& dx, const at::Tensor& dy, const at::Tensor& x, const at::Tensor& rstd,
                           const at::Tensor& weight) {
  dispatch(x, [&](auto type) {
    using T = decltype(type);
    const auto kernel = kernel_table().of<T>().rms_norm_backward_add;
    const std::int64_t hidden = x.size(1);
    const std::int64_t dx_stride = dx.stride(0), dy_stride = dy.stride(0), x_stride = x.stride(0);
    T* const dx_data = elements<T>(dx);
    const T* const dy_data = elements<T>(dy);
    const T* const x_data = elements<T>(x);
    const T* const w = elements<T>(weight);
    const auto* const r = elements<AccumulatorOf<T>>(rstd);
    for_rows(x.size(0), hidden, [&](std::int64_t t) {
      kernel(dx_data + t * dx_stride, dy_data + t * dy_stride, x_data + t * x_stride, r[t], w, hidden);
    });
  });
}

}  // namespace allreco::model::ops::cpu
