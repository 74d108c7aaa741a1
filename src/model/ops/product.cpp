#include "model/ops/product.h"

#include <ATen/Version.h>
#include <ATen/ops/mm.h>

namespace allreco::model::ops {
namespace {

bool widens(const at::Tensor& a) { return a.is_cpu() && widens_products(a.scalar_type()); }

at::Tensor wide_mm(const at::Tensor& a, const at::Tensor& b) { return at::mm(a.to(at::kFloat), b.to(at::kFloat)); }

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

void addmm_(at::Tensor out, const at::Tensor& a, const at::Tensor& b, double beta, double alpha) {
  if (!widens(a)) {
    out.addmm_(a, b, beta, alpha);
  } else if (beta == 0) {
    out.copy_(wide_mm(a, b).mul_(alpha));
  } else {
    out.copy_(out.to(at::kFloat).addmm_(a.to(at::kFloat), b.to(at::kFloat), beta, alpha));
  }
}

}  // namespace allreco::model::ops
