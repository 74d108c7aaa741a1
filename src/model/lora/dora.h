// DoRA (arXiv:2402.09353): the weight's direction is W + scaling B A with rows of norm 1, and each output feature
// learns its magnitude.
#pragma once
#include <ATen/core/Tensor.h>

#include "model/decoder/weights.h"
#include "model/lora/lora.h"

namespace allreco::model {

/// The row norms [out] of W + scaling B A, in float32 (float64 where A is), computed some rows at a time. a [r, in],
/// b [out, r].
at::Tensor direction_norms(const FrozenLinear& base, const at::Tensor& a, const at::Tensor& b, double scaling);

/// PEFT's start: every magnitude is the norm of its direction, so that the adapter changes nothing yet. Without DoRA
/// there is nothing to do.
void start_magnitudes(LoraStore& store, const Weights& weights);

}  // namespace allreco::model
