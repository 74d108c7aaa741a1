// Products of matrices, by libtorch on both backends. Its bfloat16 product on CPUs without AVX-512 is a plain loop,
// about a hundred times slower than its float32 product: there the operands are widened to float32 first (b in pieces
// of at most 64 MiB), and the result is rounded once, as the fast bfloat16 products do. Any strides; dtypes as
// libtorch's.
#pragma once
#include <ATen/core/Tensor.h>

namespace allreco::model::ops {

/// a b. a [M, K], b [K, N] -> [M, N].
at::Tensor mm(const at::Tensor& a, const at::Tensor& b);
/// The same into `out` [M, N].
void mm_into(at::Tensor& out, const at::Tensor& a, const at::Tensor& b);
/// out = beta out + alpha a b; with beta 0 what `out` held does not count, not even a NaN.
// NOLINTNEXTLINE(readability-identifier-naming): torch's name
void addmm_(at::Tensor out, const at::Tensor& a, const at::Tensor& b, double beta = 1, double alpha = 1);

/// a b + bias, bias [N] to each row: added before the one rounding, as torch's linear does.
at::Tensor addmm(const at::Tensor& bias, const at::Tensor& a, const at::Tensor& b);

/// Whether products of this dtype on the CPU go through float32 here (ATEN_CPU_CAPABILITY counts).
bool widens_products(at::ScalarType dtype);

}  // namespace allreco::model::ops
