// Cross-entropy over a chunk of logits, loss and gradient in one pass.
#pragma once
#include <ATen/core/Tensor.h>

namespace allreco::model::ops {

/// logits [n, V] (float32, float64, bfloat16), targets int64 [n] -> NLL float32 (float64) [n], natural logarithm;
/// log-sum-exp in float32 at least. Overwrites logits with gradient_scale * (softmax(logits) - onehot(target)).
at::Tensor cross_entropy_with_gradient(at::Tensor& logits, const at::Tensor& targets, double gradient_scale);

/// log softmax(logits[rows[i]])[targets[i]], float64 [m]; logits [n, V] unchanged, rows and targets int64 [m].
at::Tensor gather_log_softmax(const at::Tensor& logits, const at::Tensor& rows, const at::Tensor& targets);

}  // namespace allreco::model::ops
