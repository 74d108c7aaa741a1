#include "model/ops/cuda/row_arguments.h"

#include <bit>
#include <initializer_list>

#include "core/random.h"
#include "model/ops/dropout.h"

namespace allreco::model::ops::cuda {
namespace {

/// Whether all rows begin at multiples of 16 bytes, which the kernels then move at a time.
bool are_aligned(std::initializer_list<const at::Tensor*> tensors) {
  for (const at::Tensor* t : tensors) {
    if (std::bit_cast<std::uintptr_t>(t->const_data_ptr()) % 16 != 0) return false;
    for (std::int64_t dim = 0; dim + 1 < t->dim(); ++dim) {
      if (t->size(dim) > 1 && t->stride(dim) * static_cast<std::int64_t>(t->element_size()) % 16 != 0) return false;
    }
  }
  return true;
}

RowActivation row_activation(Activation activation) {
  switch (activation) {
    case Activation::gelu_tanh:
      return RowActivation::gelu_tanh;
    case Activation::silu:
      break;
  }
  return RowActivation::silu;
}

}  // namespace

RmsNormArguments rms_norm_arguments(at::Tensor& y, at::Tensor& rstd, const at::Tensor& x, const at::Tensor* delta,
                                    const NormWeight& weight, double eps) {
  RmsNormArguments a = rms_norm_recompute_arguments(y, x, rstd, weight);
  a.eps = static_cast<float>(eps);
  if (delta != nullptr) {
    a.delta = delta->const_data_ptr();
    a.delta_stride = delta->stride(0);
    a.aligned = a.aligned && are_aligned({delta});
  }
  return a;
}

RmsNormArguments rms_norm_recompute_arguments(at::Tensor& y, const at::Tensor& x, const at::Tensor& rstd,
                                              const NormWeight& weight) {
  RmsNormArguments a;
  a.y = y.mutable_data_ptr();
  a.x = x.data_ptr();
  a.weight = weight.weight.const_data_ptr();
  a.plus_one = weight.plus_one;
  a.rstd = rstd.data_ptr<float>();
  a.num_rows = x.size(0);
  a.width = x.size(1);
  a.x_stride = x.stride(0);
  a.aligned = are_aligned({&y, &x, &weight.weight});
  return a;
}

RmsNormBackwardArguments rms_norm_backward_arguments(at::Tensor& dx, const at::Tensor& dy, const at::Tensor& x,
                                                     const at::Tensor& rstd, const NormWeight& weight) {
  RmsNormBackwardArguments a;
  a.dx = dx.mutable_data_ptr();
  a.dy = dy.const_data_ptr();
  a.x = x.const_data_ptr();
  a.rstd = rstd.const_data_ptr<float>();
  a.weight = weight.weight.const_data_ptr();
  a.plus_one = weight.plus_one;
  a.num_rows = x.size(0);
  a.width = x.size(1);
  a.dx_stride = dx.stride(0);
  a.dy_stride = dy.stride(0);
  a.x_stride = x.stride(0);
  a.aligned = are_aligned({&dx, &dy, &x, &weight.weight});
  return a;
}

RopeArguments rope_arguments(at::Tensor& x, const at::Tensor& positions, const at::Tensor& cos, const at::Tensor& sin,
                             bool inverse) {
  RopeArguments a;
  a.x = x.mutable_data_ptr();
  a.positions = positions.const_data_ptr<std::int64_t>();
  a.cos = cos.const_data_ptr<float>();
  a.sin = sin.const_data_ptr<float>();
  a.num_rows = x.size(0);
  a.num_heads = x.size(1);
  a.half = x.size(2) / 2;
  a.row_stride = x.stride(0);
  a.head_stride = x.stride(1);
  a.num_positions = cos.size(0);
  a.inverse = inverse;
  const bool second_halves_aligned = a.half * static_cast<std::int64_t>(x.element_size()) % 16 == 0;
  a.aligned = second_halves_aligned && are_aligned({&x, &cos, &sin});
  return a;
}

GatedActivationArguments gated_activation_arguments(Activation activation, at::Tensor& m, const at::Tensor& gate,
                                                    const at::Tensor& up) {
  GatedActivationArguments a;
  a.activation = row_activation(activation);
  a.m = m.mutable_data_ptr();
  a.gate = gate.const_data_ptr();
  a.up = up.const_data_ptr();
  a.num_rows = gate.size(0);
  a.width = gate.size(1);
  a.gate_stride = gate.stride(0);
  a.up_stride = up.stride(0);
  a.aligned = are_aligned({&m, &gate, &up});
  return a;
}

GatedActivationBackwardArguments gated_activation_backward_arguments(Activation activation, const at::Tensor& dm,
                                                                     at::Tensor& gate, at::Tensor& up) {
  GatedActivationBackwardArguments a;
  a.activation = row_activation(activation);
  a.dm = dm.const_data_ptr();
  a.gate = gate.mutable_data_ptr();
  a.up = up.mutable_data_ptr();
  a.num_rows = dm.size(0);
  a.width = dm.size(1);
  a.dm_stride = dm.stride(0);
  a.gate_stride = gate.stride(0);
  a.up_stride = up.stride(0);
  a.aligned = are_aligned({&dm, &gate, &up});
  return a;
}

DropoutArguments dropout_arguments(at::Tensor& y, const at::Tensor& x, const at::Tensor& row_keys, std::uint64_t key,
                                   double p) {
  DropoutArguments a;
  a.y = y.mutable_data_ptr();
  a.x = x.const_data_ptr();
  a.row_keys = row_keys.const_data_ptr<std::int64_t>();
  a.mixed_key = core::mix_key(key, {});
  a.threshold = dropout_threshold(p);
  a.scale = static_cast<float>(1 / (1 - p));
  a.num_rows = x.size(0);
  a.width = x.size(1);
  a.y_stride = y.stride(0);
  a.x_stride = x.stride(0);
  a.aligned = are_aligned({&y, &x});
  return a;
}

CrossEntropyArguments cross_entropy_arguments(at::Tensor& logits, at::Tensor& losses, const at::Tensor& targets,
                                              double gradient_scale, std::optional<double> soft_cap) {
  CrossEntropyArguments a;
  a.logits = logits.mutable_data_ptr();
  a.targets = targets.const_data_ptr<std::int64_t>();
  a.losses = losses.mutable_data_ptr<float>();
  a.gradient_scale = gradient_scale;
  a.soft_cap = static_cast<float>(soft_cap.value_or(0));
  a.num_rows = logits.size(0);
  a.width = logits.size(1);
  a.stride = logits.stride(0);
  a.aligned = are_aligned({&logits});
  return a;
}

LogSumExpArguments log_sum_exp_arguments(at::Tensor& log_sum_exp, const at::Tensor& logits,
                                         std::optional<double> soft_cap) {
  LogSumExpArguments a;
  a.logits = logits.const_data_ptr();
  a.log_sum_exp = log_sum_exp.mutable_data_ptr<double>();
  a.soft_cap = static_cast<float>(soft_cap.value_or(0));
  a.num_rows = logits.size(0);
  a.width = logits.size(1);
  a.stride = logits.stride(0);
  a.aligned = are_aligned({&logits});
  return a;
}

GatherArguments gather_arguments(at::Tensor& log_p, const at::Tensor& logits, const at::Tensor& log_sum_exp,
                                 const at::Tensor& rows, const at::Tensor& targets, std::optional<double> soft_cap) {
  GatherArguments a;
  a.logits = logits.const_data_ptr();
  a.log_sum_exp = log_sum_exp.const_data_ptr<double>();
  a.rows = rows.const_data_ptr<std::int64_t>();
  a.targets = targets.const_data_ptr<std::int64_t>();
  a.log_p = log_p.mutable_data_ptr<double>();
  a.soft_cap = static_cast<float>(soft_cap.value_or(0));
  a.num_predictions = rows.size(0);
  a.num_rows = logits.size(0);
  a.width = logits.size(1);
  a.stride = logits.stride(0);
  return a;
}

}  // namespace allreco::model::ops::cuda
