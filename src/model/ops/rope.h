// Rotary position embedding (Su et al. 2021), Hugging Face's half-split order: (x1, x2) -> (x1 cos - x2 sin, x2 cos +
// x1 sin), x1, x2 the halves of a head.
#pragma once
#include <ATen/core/Tensor.h>

#include "model/ops/backends.h"

namespace allreco::model::ops {

/// Rotates x [T, heads, E] in place by the angles of `positions` int64 [T]. cos, sin: float32 (float64 for float64)
/// tables [positions, E/2]. `inverse`: rotates back, which is the backward. x may be a strided view with a dense last
/// dimension. Computed in float32, rounded once.
void rope_in_place(at::Tensor& x, const at::Tensor& positions, const at::Tensor& cos, const at::Tensor& sin,
                   bool inverse = false);

ALLRECO_BOTH_BACKENDS(rope_in_place)

}  // namespace allreco::model::ops
