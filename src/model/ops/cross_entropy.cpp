#include "model/ops/cross_entropy.h"

#include "model/ops/backends.h"
#include "model/ops/checks.h"

namespace allreco::model::ops {

at::Tensor cross_entropy_with_gradient(at::Tensor& logits, const at::Tensor& targets, double gradient_scale) {
  check_floating("cross_entropy", "logits", logits);
  check_like("cross_entropy", "logits", logits, logits, {-1, -1});
  check_dense("cross_entropy", "targets", targets, at::kLong, logits, {logits.size(0)});
  return logits.is_cuda() ? cuda::cross_entropy_with_gradient(logits, targets, gradient_scale)
                          : cpu::cross_entropy_with_gradient(logits, targets, gradient_scale);
}

at::Tensor gather_log_softmax(const at::Tensor& logits, const at::Tensor& rows, const at::Tensor& targets) {
  check_floating("gather_log_softmax", "logits", logits);
  check_like("gather_log_softmax", "logits", logits, logits, {-1, -1});
  check_dense("gather_log_softmax", "rows", rows, at::kLong, logits, {-1});
  check_dense("gather_log_softmax", "targets", targets, at::kLong, logits, {rows.size(0)});
  return logits.is_cuda() ? cuda::gather_log_softmax(logits, rows, targets)
                          : cpu::gather_log_softmax(logits, rows, targets);
}

}  // namespace allreco::model::ops
