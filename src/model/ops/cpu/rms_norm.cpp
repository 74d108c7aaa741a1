#include "model/ops/rms_norm.h"

#include <ATen/ops/empty.h>

#include "model/ops/checks.h"
#include "model/ops/cpu/rms_norm_kernels.inc"
#include "model/ops/cpu/rows.h"

namespace allreco::model::ops::cpu {
namespace {

/// What all three need; x is written only with a delta.
template <class T>
NormRows<T> rows_of(const at::Tensor& y, const at::Tensor& x, const at::Tensor& rstd, const NormWeight& weight) {
  NormRows<T> rows;
  rows.y = elements<T>(y);
  rows.x = elements<T>(x);
  rows.weight = elements<T>(weight.weight);
  rows.rstd = elements<AccumulatorOf<T>>(rstd);
  rows.width = x.size(1);
  rows.x_stride = x.stride(0);
  rows.plus_one = weight.plus_one;
  return rows;
}

at::Tensor empty_like_rows(const at::Tensor& x) { return at::empty({x.size(0), x.size(1)}, x.options()); }

NormOutput norm(const at::Tensor& x, const at::Tensor* delta, const NormWeight& weight, double eps) {
  NormOutput output{empty_like_rows(x), at::empty({x.size(0)}, x.options().dtype(accumulate_dtype(x)))};
  dispatch(x, [&](auto type) {
    using T = decltype(type);
    NormRows<T> rows = rows_of<T>(output.y, x, output.rstd, weight);
    rows.eps = eps;
    if (delta != nullptr) {
      rows.delta = elements<T>(*delta);
      rows.delta_stride = delta->stride(0);
    }
    for_row_ranges(x.size(0), x.size(1), [&, forward = kernels<RmsNormKernels<T>>().forward](auto begin, auto end) {
      forward(rows, begin, end);
    });
  });
  return output;
}

}  // namespace

NormOutput rms_norm(const at::Tensor& x, const NormWeight& weight, double eps) { return norm(x, nullptr, weight, eps); }

NormOutput add_rms_norm(at::Tensor& x, const at::Tensor& delta, const NormWeight& weight, double eps) {
  return norm(x, &delta, weight, eps);
}

at::Tensor rms_norm_recompute(const at::Tensor& x, const at::Tensor& rstd, const NormWeight& weight) {
  at::Tensor y = empty_like_rows(x);  // [T, D]
  dispatch(x, [&](auto type) {
    using T = decltype(type);
    const NormRows<T> rows = rows_of<T>(y, x, rstd, weight);
    for_row_ranges(x.size(0), x.size(1), [&, recompute = kernels<RmsNormKernels<T>>().recompute](auto begin, auto end) {
      recompute(rows, begin, end);
    });
  });
  return y;
}

void rms_norm_backward_add(at::Tensor& dx, const at::Tensor& dy, const at::Tensor& x, const at::Tensor& rstd,
                           const NormWeight& weight) {
  dispatch(x, [&](auto type) {
    using T = decltype(type);
    NormBackwardRows<T> rows;
    rows.dx = elements<T>(dx);
    rows.dy = elements<T>(dy);
    rows.x = elements<T>(x);
    rows.weight = elements<T>(weight.weight);
    rows.rstd = elements<AccumulatorOf<T>>(rstd);
    rows.width = x.size(1);
    rows.dx_stride = dx.stride(0);
    rows.dy_stride = dy.stride(0);
    rows.x_stride = x.stride(0);
    rows.plus_one = weight.plus_one;
    for_row_ranges(x.size(0), x.size(1),
                   [&, backward = kernels<RmsNormKernels<T>>().backward_add](auto begin, auto end) {
                     backward(rows, begin, end);
                   });
  });
}

}  // namespace allreco::model::ops::cpu
