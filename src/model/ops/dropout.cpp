#include "model/ops/dropout.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "model/ops/backends.h"
#include "model/ops/checks.h"

namespace allreco::model::ops {

at::Tensor dropout(const at::Tensor& x, const at::Tensor& row_keys, std::uint64_t key, double p) {
  check_floating("dropout", "x", x);
  check_like("dropout", "x", x, x, {-1, -1});
  check_dense("dropout", "row_keys", row_keys, at::kLong, x, {x.size(0)});
  core::require(p > 0 && p < 1, "dropout: p must be above 0 and below 1");
  return x.is_cuda() ? cuda::dropout(x, row_keys, key, p) : cpu::dropout(x, row_keys, key, p);
}

std::uint32_t dropout_threshold(double p) {
  return static_cast<std::uint32_t>(std::min(std::round((1 - p) * 0x1p32), 0x1p32 - 1));
}

}  // namespace allreco::model::ops
