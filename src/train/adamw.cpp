#include "train/adamw.h"

#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros_like.h>

#include <optional>

#include "core/check.h"

namespace allreco::train {

AdamW::AdamW(at::Tensor parameters, const AdamWConfig& config)
    : config_(config),
      parameters_(std::move(parameters)),
      exp_avg_(at::zeros_like(parameters_)),
      exp_avg_sq_(at::zeros_like(parameters_)) {}

void AdamW::step(const at::Tensor& gradients, double learning_rate, double gradient_factor) {
  core::require(gradients.numel() == parameters_.numel(), "AdamW: gradients and parameters differ in size");
  ++num_updates_;
  const auto scalar = at::TensorOptions().dtype(at::kFloat).device(parameters_.device());
  std::optional<at::Tensor> divisor;  // the kernel divides by it, so no pass of its own is spent on clipping
  if (gradient_factor != 1) divisor = at::scalar_tensor(1 / gradient_factor, scalar);
  const at::Tensor steps = at::scalar_tensor(static_cast<double>(num_updates_), scalar);  // exact up to 2^24
  at::_fused_adamw_({parameters_}, {gradients}, {exp_avg_}, {exp_avg_sq_}, {}, {steps}, learning_rate, config_.beta1,
                    config_.beta2, config_.weight_decay, config_.epsilon, /*amsgrad=*/false, /*maximize=*/false,
                    divisor);
}

}  // namespace allreco::train
