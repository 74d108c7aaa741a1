#include "train/adamw.h"

#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <optional>

#include "core/check.h"

namespace allreco::train {

std::vector<EqualRate> group_by_rate(const std::vector<ParamGroup>& slices) {
  std::vector<EqualRate> rates;
  for (const ParamGroup& slice : slices) {
    auto rate = std::find_if(rates.begin(), rates.end(),
                             [&](const EqualRate& r) { return r.factor == slice.learning_rate_factor; });
    if (rate == rates.end()) rate = rates.insert(rates.end(), {slice.learning_rate_factor, {}});
    const std::int64_t end = slice.begin + slice.numel();
    if (!rate->stretches.empty() && rate->stretches.back().second == slice.begin) {
      rate->stretches.back().second = end;
    } else {
      rate->stretches.emplace_back(slice.begin, end);
    }
  }
  return rates;
}

void fused_adamw(const AdamWTensors& tensors, const AdamWConfig& config, std::int64_t num_updates, double learning_rate,
                 double gradient_factor) {
  if (tensors.parameters.empty()) return;
  const auto scalar = at::TensorOptions().dtype(at::kFloat).device(tensors.parameters.front().device());
  std::optional<at::Tensor> divisor;  // the kernel divides by it, so no pass of its own is spent on clipping
  if (gradient_factor != 1) divisor = at::scalar_tensor(1 / gradient_factor, scalar);
  const at::Tensor count = at::scalar_tensor(static_cast<double>(num_updates), scalar);  // exact up to 2^24
  const std::vector<at::Tensor> steps(tensors.parameters.size(), count);
  at::_fused_adamw_(tensors.parameters, tensors.gradients, tensors.exp_avg, tensors.exp_avg_sq, {}, steps,
                    learning_rate, config.beta1, config.beta2, config.weight_decay, config.epsilon, /*amsgrad=*/false,
                    /*maximize=*/false, divisor);
}

AdamW::AdamW(at::Tensor parameters, std::vector<ParamGroup> slices, const AdamWConfig& config)
    : config_(config),
      slices_(std::move(slices)),
      rates_(group_by_rate(slices_)),
      parameters_(std::move(parameters)),
      exp_avg_(at::zeros_like(parameters_)),
      exp_avg_sq_(at::zeros_like(parameters_)) {}

void AdamW::step(const at::Tensor& gradients, double learning_rate, double gradient_factor) {
  core::require(gradients.numel() == parameters_.numel(), "AdamW: gradients and parameters differ in size");
  ++num_updates_;
  for (const EqualRate& rate : rates_) {
    AdamWTensors tensors;
    for (const auto& [begin, end] : rate.stretches) {
      tensors.parameters.push_back(parameters_.slice(0, begin, end));
      tensors.gradients.push_back(gradients.slice(0, begin, end));
      tensors.exp_avg.push_back(exp_avg_.slice(0, begin, end));
      tensors.exp_avg_sq.push_back(exp_avg_sq_.slice(0, begin, end));
    }
    fused_adamw(tensors, config_, num_updates_, learning_rate * rate.factor, gradient_factor);
  }
}

std::vector<model::NamedTensor> AdamW::named_views(const std::vector<at::Tensor>& state) const {
  std::vector<model::NamedTensor> views;
  for (const ParamGroup& slice : slices_) {
    const std::int64_t end = slice.begin + slice.numel();
    views.push_back({"exp_avg." + slice.name, state[0].slice(0, slice.begin, end).view(slice.shape)});
    views.push_back({"exp_avg_sq." + slice.name, state[1].slice(0, slice.begin, end).view(slice.shape)});
  }
  return views;
}

}  // namespace allreco::train
