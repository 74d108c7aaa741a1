#include "model/ops/cross_entropy.h"

#include "core/check.h"
#include "model/ops/checks.h"

namespace allreco::model::ops {
namespace {

void check_logits(const char* op, const at::Tensor& logits, std::optional<double> soft_cap) {
  check_floating(op, "logits", logits);
  check_like(op, "logits", logits, logits, {-1, -1});
  core::require(!soft_cap || *soft_cap > 0, "logits: a soft cap must be positive");
}

}  // namespace

at::Tensor cross_entropy_with_gradient(at::Tensor& logits, const at::Tensor& targets, double gradient_scale,
                                       std::optional<double> soft_cap) {
  check_logits("cross_entropy", logits, soft_cap);
  check_dense("cross_entropy", "targets", targets, at::kLong, logits, {logits.size(0)});
  return logits.is_cuda() ? cuda::cross_entropy_with_gradient(logits, targets, gradient_scale, soft_cap)
                          : cpu::cross_entropy_with_gradient(logits, targets, gradient_scale, soft_cap);
}

at::Tensor gather_log_softmax(const at::Tensor& logits, const at::Tensor& rows, const at::Tensor& targets,
                              std::optional<double> soft_cap) {
  check_logits("gather_log_softmax", logits, soft_cap);
  check_dense("gather_log_softmax", "rows", rows, at::kLong, logits, {-1});
  check_dense("gather_log_softmax", "targets", targets, at::kLong, logits, {rows.size(0)});
  return logits.is_cuda() ? cuda::gather_log_softmax(logits, rows, targets, soft_cap)
                          : cpu::gather_log_softmax(logits, rows, targets, soft_cap);
}

void soft_cap_in_place(at::Tensor& logits, double soft_cap) {
  check_logits("soft_cap", logits, soft_cap);
  logits.is_cuda() ? cuda::soft_cap_in_place(logits, soft_cap) : cpu::soft_cap_in_place(logits, soft_cap);
}

}  // namespace allreco::model::ops
