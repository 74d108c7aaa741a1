// Dropout whose mask is a pure function of (key, row key, column): never stored, the same on any rank and after a
// resume.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace allreco::model::ops {

/// x [T, D] -> x * mask / (1 - p); element (t, j) is kept with probability 1 - p, decided by a hash of (key,
/// row_keys[t], j). row_keys int64 [T]. The backward is the same call on dy. REQUIRES 0 < p < 1.
at::Tensor dropout(const at::Tensor& x, const at::Tensor& row_keys, std::uint64_t key, double p);

}  // namespace allreco::model::ops
