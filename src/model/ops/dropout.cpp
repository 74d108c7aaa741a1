#include "model/ops/dropout.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "model/ops/checks.h"

namespace allreco::model::ops {
namespace {

void check_arguments(const char* op, const at::Tensor& x, const at::Tensor& row_keys, double p) {
  check_floating(op, "x", x);
  check_like(op, "x", x, x, {-1, -1});
  check_dense(op, "row_keys", row_keys, at::kLong, x, {x.size(0)});
  core::require(p > 0 && p < 1, "dropout: p must be above 0 and below 1");
}

}  // namespace

at::Tensor dropout(const at::Tensor& x, const at::Tensor& row_keys, std::uint64_t key, double p) {
  check_arguments("dropout", x, row_keys, p);
  return x.is_cuda() ? cuda::dropout(x, row_keys, key, p) : cpu::dropout(x, row_keys, key, p);
}

void dropout_add(at::Tensor& y, const at::Tensor& x, const at::Tensor& row_keys, std::uint64_t key, double p) {
  check_arguments("dropout_add", x, row_keys, p);
  check_like("dropout_add", "y", y, x, {x.size(0), x.size(1)});
  x.is_cuda() ? cuda::dropout_add(y, x, row_keys, key, p) : cpu::dropout_add(y, x, row_keys, key, p);
}

std::uint32_t dropout_threshold(double p) {
  return static_cast<std::uint32_t>(std::min(std::round((1 - p) * 0x1p32), 0x1p32 - 1));
}

}  // namespace allreco::model::ops
