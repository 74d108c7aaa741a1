#include "model/ops/cuda/fused_rows.h"

#include <ATen/ops/empty.h>
#include <c10/core/DeviceGuard.h>

#include "model/ops/cuda/current_stream.h"
#include "model/ops/cuda/row_arguments.h"

namespace allreco::model::ops::cuda {
namespace {

at::Tensor empty_rows(const at::Tensor& like) { return at::empty({like.size(0), like.size(1)}, like.options()); }

at::Tensor empty_column(std::int64_t rows, const at::Tensor& like, at::ScalarType dtype) {
  return at::empty({rows}, like.options().dtype(dtype));
}

/// Calls launch(arguments, type of x, stream) on the device of x.
template <class Arguments>
void run(void (*launch)(const Arguments&, RowFloat, void*), const Arguments& arguments, const at::Tensor& x) {
  const c10::DeviceGuard guard(x.device());
  launch(arguments, x.scalar_type() == at::kFloat ? RowFloat::f32 : RowFloat::bf16, current_stream(x.device()));
}

}  // namespace

bool fused_takes(const at::Tensor& rows) {
  const bool has_type = rows.scalar_type() == at::kFloat || rows.scalar_type() == at::kBFloat16;
  return rows.is_cuda() && has_type && rows.numel() > 0 && rows.size(0) <= kMaxRows;
}

NormOutput fused_rms_norm(const at::Tensor& x, const at::Tensor* delta, const NormWeight& weight, double eps) {
  NormOutput output{empty_rows(x), empty_column(x.size(0), x, at::kFloat)};
  run(launch_rms_norm, rms_norm_arguments(output.y, output.rstd, x, delta, weight, eps), x);
  return output;
}

at::Tensor fused_rms_norm_recompute(const at::Tensor& x, const at::Tensor& rstd, const NormWeight& weight) {
  at::Tensor y = empty_rows(x);  // [T, D]
  run(launch_rms_norm_recompute, rms_norm_recompute_arguments(y, x, rstd, weight), x);
  return y;
}

void fused_rms_norm_backward_add(at::Tensor& dx, const at::Tensor& dy, const at::Tensor& x, const at::Tensor& rstd,
                                 const NormWeight& weight) {
  run(launch_rms_norm_backward_add, rms_norm_backward_arguments(dx, dy, x, rstd, weight), x);
}

void fused_rope_in_place(at::Tensor& x, const at::Tensor& positions, const at::Tensor& cos, const at::Tensor& sin,
                         bool inverse) {
  run(launch_rope, rope_arguments(x, positions, cos, sin, inverse), x);
}

at::Tensor fused_gated_activation(Activation activation, const at::Tensor& gate, const at::Tensor& up) {
  at::Tensor m = empty_rows(gate);  // [T, F]
  run(launch_gated_activation, gated_activation_arguments(activation, m, gate, up), gate);
  return m;
}

void fused_gated_activation_backward_in_place(Activation activation, const at::Tensor& dm, at::Tensor& gate,
                                              at::Tensor& up) {
  run(launch_gated_activation_backward, gated_activation_backward_arguments(activation, dm, gate, up), dm);
}

at::Tensor fused_dropout(const at::Tensor& x, const at::Tensor& row_keys, std::uint64_t key, double p) {
  at::Tensor y = empty_rows(x);  // [T, D]
  run(launch_dropout, dropout_arguments(y, x, row_keys, key, p), x);
  return y;
}

void fused_dropout_add(at::Tensor& y, const at::Tensor& x, const at::Tensor& row_keys, std::uint64_t key, double p) {
  DropoutArguments a = dropout_arguments(y, x, row_keys, key, p);
  a.adds = true;
  run(launch_dropout, a, x);
}

at::Tensor fused_cross_entropy_with_gradient(at::Tensor& logits, const at::Tensor& targets, double gradient_scale,
                                             std::optional<double> soft_cap) {
  at::Tensor losses = empty_column(logits.size(0), logits, at::kFloat);  // [n]
  run(launch_cross_entropy, cross_entropy_arguments(logits, losses, targets, gradient_scale, soft_cap), logits);
  return losses;
}

at::Tensor fused_gather_log_softmax(const at::Tensor& logits, const at::Tensor& rows, const at::Tensor& targets,
                                    std::optional<double> soft_cap) {
  at::Tensor log_p = empty_column(rows.size(0), logits, at::kDouble);  // [m]
  if (rows.size(0) == 0) return log_p;
  at::Tensor log_sum_exp = empty_column(logits.size(0), logits, at::kDouble);  // [n]
  run(launch_log_sum_exp, log_sum_exp_arguments(log_sum_exp, logits, soft_cap), logits);
  run(launch_gather_log_p, gather_arguments(log_p, logits, log_sum_exp, rows, targets, soft_cap), logits);
  return log_p;
}

}  // namespace allreco::model::ops::cuda
