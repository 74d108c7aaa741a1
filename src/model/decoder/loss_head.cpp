#include "model/decoder/loss_head.h"

#include <ATen/ops/argsort.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/sub.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

#include "model/ops/cross_entropy.h"
#include "model/ops/matmul.h"
#include "model/ops/rms_norm.h"

namespace allreco::model {

std::int64_t LossHead::rows_per_chunk() const {
  // Large enough for an efficient product; on the CPU small enough to stay in the last-level cache between its passes.
  const std::int64_t chunk_bytes = std::int64_t{weights_.lm_head.is_cpu() ? 16 : 128} << 20;
  const std::int64_t row_bytes = config_.vocab_size * static_cast<std::int64_t>(weights_.lm_head.element_size());
  return std::max<std::int64_t>(64, chunk_bytes / row_bytes);
}

LossHead::Loss LossHead::loss_and_gradient(const at::Tensor& x, const at::Tensor& targets,
                                           double gradient_scale) const {
  const auto norm = ops::rms_norm(x, final_norm(), config_.rms_norm_eps);  // [N, D]
  at::Tensor dh = at::empty_like(norm.y);                                  // [N, D]
  Loss loss{at::zeros({}, x.options().dtype(at::kDouble)), {}};
  const std::int64_t n = x.size(0), step = rows_per_chunk();
  for (std::int64_t begin = 0; begin < n; begin += step) {
    const std::int64_t rows = std::min(step, n - begin);
    at::Tensor logits = ops::mm(norm.y.narrow(0, begin, rows), weights_.lm_head.t());  // [rows, V]
    const at::Tensor nll = ops::cross_entropy_with_gradient(logits, targets.narrow(0, begin, rows), gradient_scale,
                                                            config_.final_logit_softcapping);
    loss.nll_sum.add_(nll.sum(at::kDouble));
    at::Tensor dh_rows = dh.narrow(0, begin, rows);
    ops::mm_into(dh_rows, logits, weights_.lm_head);  // the logits now hold their own gradient
  }
  loss.dx = at::zeros_like(x);
  ops::rms_norm_backward_add(loss.dx, dh, x, norm.rstd, final_norm());
  return loss;
}

at::Tensor LossHead::log_probabilities(const at::Tensor& x, const at::Tensor& prediction_rows,
                                       const at::Tensor& targets) const {
  const at::Tensor h = ops::rms_norm(x, final_norm(), config_.rms_norm_eps).y;  // [N, D]
  const at::Tensor order = at::argsort(prediction_rows, /*stable=*/true, /*dim=*/0);
  const at::Tensor rows = prediction_rows.index_select(0, order), sorted_targets = targets.index_select(0, order);
  at::Tensor result = at::empty({targets.size(0)}, x.options().dtype(at::kDouble));
  const std::int64_t n = x.size(0), step = rows_per_chunk();
  for (std::int64_t begin = 0; begin < n; begin += step) {
    const std::int64_t end = std::min(begin + step, n);
    const std::int64_t first = at::searchsorted(rows, begin).item<std::int64_t>();
    const std::int64_t count = at::searchsorted(rows, end).item<std::int64_t>() - first;
    if (count == 0) continue;
    const at::Tensor logits = ops::mm(h.narrow(0, begin, end - begin), weights_.lm_head.t());  // [rows, V]
    const at::Tensor log_p =
        ops::gather_log_softmax(logits, at::sub(rows.narrow(0, first, count), begin).to(x.device()),
                                sorted_targets.narrow(0, first, count).to(x.device()), config_.final_logit_softcapping);
    result.index_copy_(0, order.narrow(0, first, count).to(x.device()), log_p);
  }
  return result;
}

at::Tensor LossHead::logits(const at::Tensor& x) const {
  const at::Tensor h = ops::rms_norm(x, final_norm(), config_.rms_norm_eps).y;  // [N, D]
  at::Tensor logits = ops::mm(h, weights_.lm_head.t());                         // [N, V]
  if (config_.final_logit_softcapping) ops::soft_cap_in_place(logits, *config_.final_logit_softcapping);
  return logits.scalar_type() == at::kDouble ? logits : logits.to(at::kFloat);
}

}  // namespace allreco::model
