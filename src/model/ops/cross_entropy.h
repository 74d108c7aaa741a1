// Cross-entropy over a chunk of logits, loss and gradient in one pass, and log-probabilities of chosen tokens. All take
// a soft cap c > 0 (Gemma's final_logit_softcapping): the logits are then c tanh(x / c) of what they are given,
// computed on the fly in float32 at least, without a tensor of capped logits. Legend: n rows, V vocabulary.
#pragma once
#include <ATen/core/Tensor.h>

#include <optional>

#include "model/ops/backends.h"

namespace allreco::model::ops {

/// logits [n, V] (float32, float64, bfloat16), targets int64 [n] -> NLL float32 (float64) [n], natural logarithm;
/// log-sum-exp in float32 at least. Overwrites logits with gradient_scale * (softmax(logits) - onehot(target)), under a
/// soft cap times its slope 1 - tanh(x / c)^2.
at::Tensor cross_entropy_with_gradient(at::Tensor& logits, const at::Tensor& targets, double gradient_scale,
                                       std::optional<double> soft_cap = {});

/// log softmax(logits[rows[i]])[targets[i]], float64 [m]; logits [n, V] unchanged, rows and targets int64 [m].
at::Tensor gather_log_softmax(const at::Tensor& logits, const at::Tensor& rows, const at::Tensor& targets,
                              std::optional<double> soft_cap = {});

/// logits = c tanh(logits / c), rounded once.
void soft_cap_in_place(at::Tensor& logits, double soft_cap);

ALLRECO_BOTH_BACKENDS(cross_entropy_with_gradient)
ALLRECO_BOTH_BACKENDS(gather_log_softmax)
ALLRECO_BOTH_BACKENDS(soft_cap_in_place)

}  // namespace allreco::model::ops
