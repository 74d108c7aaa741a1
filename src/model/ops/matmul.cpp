#include "model/ops/matmul.h"

#include <ATen/Version.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include <algorithm>

namespace allreco::model::ops {
namespace {

bool widens(const at::Tensor& a) { return a.is_cpu() && widens_products(a.scalar_type()); }

/// Elements of b that are widened at once: 64 MiB, more than a projection of a 1B model has, less than a large lm_head.
constexpr std::int64_t kWidePiece = std::int64_t{16} << 20;

/// sum = beta sum + alpha a b in float32, `sum` [M, N] with any contents where beta is 0.
void add_wide_product(const at::Tensor& sum, const at::Tensor& a, const at::Tensor& b, double beta, double alpha) {
  const at::Tensor a_wide = a.to(at::kFloat);
  const bool cuts_columns = b.size(1) >= b.size(0);
  const std::int64_t length = b.size(cuts_columns ? 1 : 0);
  const std::int64_t piece = b.numel() <= kWidePiece ? length : kWidePiece / b.size(cuts_columns ? 0 : 1);
  for (std::int64_t begin = 0; begin < length; begin += piece) {
    const std::int64_t count = std::min(piece, length - begin);
    const at::Tensor b_wide = b.narrow(cuts_columns ? 1 : 0, begin, count).to(at::kFloat);
    if (cuts_columns) {
      sum.narrow(1, begin, count).addmm_(a_wide, b_wide, beta, alpha);
    } else {
      sum.addmm_(a_wide.narrow(1, begin, count), b_wide, begin == 0 ? beta : 1, alpha);
    }
  }
}

at::Tensor wide_mm(const at::Tensor& a, const at::Tensor& b, double alpha = 1) {
  at::Tensor product = at::empty({a.size(0), b.size(1)}, a.options().dtype(at::kFloat));
  add_wide_product(product, a, b, /*beta=*/0, alpha);
  return product;
}

}  // namespace

// oneDNN has bfloat16 products for CPUs with AVX-512, for others libtorch falls back to a loop.
bool widens_products(at::ScalarType dtype) {
  static const bool is_slow = at::get_cpu_capability() != "AVX512";
  return is_slow && dtype == at::kBFloat16;
}

at::Tensor mm(const at::Tensor& a, const at::Tensor& b) {
  return widens(a) ? wide_mm(a, b).to(a.scalar_type()) : at::mm(a, b);
}

void mm_into(at::Tensor& out, const at::Tensor& a, const at::Tensor& b) {
  if (widens(a)) {
    out.copy_(wide_mm(a, b));
  } else {
    at::mm_out(out, a, b);
  }
}

at::Tensor addmm(const at::Tensor& bias, const at::Tensor& a, const at::Tensor& b) {
  if (!widens(a)) return at::addmm(bias, a, b);
  const at::Tensor sum = bias.to(at::kFloat).expand({a.size(0), b.size(1)}).contiguous();
  add_wide_product(sum, a, b, /*beta=*/1, /*alpha=*/1);
  return sum.to(a.scalar_type());
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): its elements are written
void addmm_(at::Tensor out, const at::Tensor& a, const at::Tensor& b, double beta, double alpha) {
  if (!widens(a)) {
    out.addmm_(a, b, beta, alpha);
  } else if (beta == 0) {
    out.copy_(wide_mm(a, b, alpha));
  } else {
    const at::Tensor sum = out.to(at::kFloat);
    add_wide_product(sum, a, b, beta, alpha);
    out.copy_(sum);
  }
}

}  // namespace allreco::model::ops
