// Dropout whose mask is a pure function of (key, row key, column): never stored, the same on any rank and after a
// resume.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

#include "model/ops/backends.h"

namespace allreco::model::ops {

/// x [T, D] -> x * mask / (1 - p). Element (t, j) is kept if a 32-bit hash of (key, row_keys[t], j) is below
/// round((1 - p) 2^32), which has probability 1 - p. row_keys int64 [T]. The backward is the same call on dy.
/// REQUIRES 0 < p < 1.
at::Tensor dropout(const at::Tensor& x, const at::Tensor& row_keys, std::uint64_t key, double p);

/// y += dropout(x, ...), whose values are rounded to their type before they are added. y [T, D].
void dropout_add(at::Tensor& y, const at::Tensor& x, const at::Tensor& row_keys, std::uint64_t key, double p);

/// Kept are hashes below it, of 2^32 equally likely ones.
std::uint32_t dropout_threshold(double p);

ALLRECO_BOTH_BACKENDS(dropout)
ALLRECO_BOTH_BACKENDS(dropout_add)

}  // namespace allreco::model::ops
