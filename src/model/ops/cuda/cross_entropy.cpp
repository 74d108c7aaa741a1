// Cross-entropy by kernels of its own where those take the logits (fused_rows.h), else through ATen's operators. A
// target or row out of range is an error on the CPU, and stops the kernel on the GPU (a check here would wait for the
// GPU).
#include <ATen/TensorOperators.h>
#include <ATen/ops/expm1.h>
#include <ATen/ops/index.h>
#include <ATen/ops/logsumexp.h>

#include "model/ops/backends.h"
#include "model/ops/checks.h"
#include "model/ops/cuda/fused_rows.h"

namespace allreco::model::ops::cuda {

at::Tensor cross_entropy_with_gradient(at::Tensor& logits, const at::Tensor& targets, double gradient_scale) {
  if (fused_takes(logits)) return fused_cross_entropy_with_gradient(logits, targets, gradient_scale);
  const at::Tensor at_target = targets.unsqueeze(1);                                          // [n, 1]
  at::Tensor x = logits.to(accumulate_dtype(logits), /*non_blocking=*/false, /*copy=*/true);  // [n, V]
  const at::Tensor log_sum_exp = at::logsumexp(x, {1}, /*keepdim=*/true);                     // [n, 1]
  const at::Tensor log_p = x.gather(1, at_target) - log_sum_exp;                              // [n, 1]
  x.sub_(log_sum_exp).exp_().mul_(gradient_scale);
  // p - 1 = expm1(log p): exact also where p is nearly 1, and rounded once.
  x.scatter_(1, at_target, at::expm1(log_p).mul_(gradient_scale));
  logits.copy_(x);
  return log_p.squeeze(1).neg();  // [n]
}

at::Tensor gather_log_softmax(const at::Tensor& logits, const at::Tensor& rows, const at::Tensor& targets) {
  if (fused_takes(logits)) return fused_gather_log_softmax(logits, rows, targets);
  const at::Tensor log_sum_exp = at::logsumexp(logits.to(accumulate_dtype(logits)), {1});  // [n]
  const at::Tensor chosen = at::index(logits, {rows, targets});                            // [m]
  return chosen.to(at::kDouble) - log_sum_exp.index_select(0, rows).to(at::kDouble);
}

}  // namespace allreco::model::ops::cuda
