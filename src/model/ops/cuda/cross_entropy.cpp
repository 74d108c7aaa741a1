// Cross-entropy by kernels of its own where those take the logits (fused_rows.h), else through ATen's operators. A
// target or row out of range is an error on the CPU, and stops the kernel on the GPU (a check here would wait for the
// GPU).
#include "model/ops/cross_entropy.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/expm1.h>
#include <ATen/ops/index.h>
#include <ATen/ops/logsumexp.h>

#include "model/ops/checks.h"
#include "model/ops/cuda/fused_rows.h"

namespace allreco::model::ops::cuda {
namespace {

/// x = c tanh(x / c) in place. Returns its slope, from e^(-2 |x / c|), in which neither end cancels.
at::Tensor cap_with_slope(at::Tensor& x, double cap) {
  x.div_(cap);
  const at::Tensor e = at::exp(x.abs().mul_(-2));
  x.tanh_().mul_(cap);
  return e * 4 / (e + 1).square_();
}

}  // namespace

at::Tensor cross_entropy_with_gradient(at::Tensor& logits, const at::Tensor& targets, double gradient_scale,
                                       std::optional<double> soft_cap) {
  if (fused_takes(logits)) return fused_cross_entropy_with_gradient(logits, targets, gradient_scale, soft_cap);
  const at::Tensor at_target = targets.unsqueeze(1);                                          // [n, 1]
  at::Tensor x = logits.to(accumulate_dtype(logits), /*non_blocking=*/false, /*copy=*/true);  // [n, V]
  at::Tensor slope;
  if (soft_cap) slope = cap_with_slope(x, *soft_cap);
  const at::Tensor log_sum_exp = at::logsumexp(x, {1}, /*keepdim=*/true);  // [n, 1]
  const at::Tensor log_p = x.gather(1, at_target) - log_sum_exp;           // [n, 1]
  x.sub_(log_sum_exp).exp_().mul_(gradient_scale);
  // p - 1 = expm1(log p): exact also where p is nearly 1, and rounded once.
  x.scatter_(1, at_target, at::expm1(log_p).mul_(gradient_scale));
  if (soft_cap) x.mul_(slope);
  logits.copy_(x);
  return log_p.squeeze(1).neg();  // [n]
}

at::Tensor gather_log_softmax(const at::Tensor& logits, const at::Tensor& rows, const at::Tensor& targets,
                              std::optional<double> soft_cap) {
  if (fused_takes(logits)) return fused_gather_log_softmax(logits, rows, targets, soft_cap);
  at::Tensor x = logits.to(accumulate_dtype(logits), /*non_blocking=*/false, /*copy=*/soft_cap.has_value());
  if (soft_cap) x.div_(*soft_cap).tanh_().mul_(*soft_cap);
  const at::Tensor log_sum_exp = at::logsumexp(x, {1});     // [n]
  const at::Tensor chosen = at::index(x, {rows, targets});  // [m]
  return chosen.to(at::kDouble) - log_sum_exp.index_select(0, rows).to(at::kDouble);
}

void soft_cap_in_place(at::Tensor& logits, double soft_cap) {
  at::Tensor x = logits.to(accumulate_dtype(logits));  // the logits themselves where they are wide
  x.div_(soft_cap).tanh_().mul_(soft_cap);
  if (!x.is_same(logits)) logits.copy_(x);
}

}  // namespace allreco::model::ops::cuda
