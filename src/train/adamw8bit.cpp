#include "train/adamw8bit.h"

#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "core/check.h"
#include "model/ops/blockwise_checks.h"

namespace allreco::train {
namespace {

constexpr std::int64_t kBlock = model::ops::kAdamW8BitBlocksize;

bool is_8bit(const ParamGroup& slice) { return slice.numel() >= kMin8BitSize; }

std::int64_t num_blocks_of(const ParamGroup& slice) { return model::ops::num_blocks_of(slice.numel(), kBlock); }

}  // namespace

AdamW8Bit::AdamW8Bit(at::Tensor parameters, std::vector<ParamGroup> slices, const AdamWConfig& config)
    : config_(config), slices_(std::move(slices)), parameters_(std::move(parameters)), maps_(parameters_.device()) {
  core::require(parameters_.scalar_type() == at::kFloat, "adamw_8bit needs parameters in float32");
  lay_out();
  const auto floats = parameters_.options();
  const auto words = floats.dtype(at::kLong);
  state1_ = at::zeros({(num_8bit_ + 7) / 8}, words);
  state2_ = at::zeros_like(state1_);
  absmax1_ = at::zeros({num_blocks_}, floats);
  absmax2_ = at::zeros_like(absmax1_);
  exp_avg_ = at::zeros({num_32bit_}, floats);
  exp_avg_sq_ = at::zeros_like(exp_avg_);
}

void AdamW8Bit::lay_out() {
  for (const ParamGroup& slice : slices_) {
    std::int64_t& num_elements = is_8bit(slice) ? num_8bit_ : num_32bit_;
    places_.push_back({num_elements, num_blocks_});
    join_or_append({slice.begin, slice.begin + slice.numel(), num_elements, num_blocks_, slice.learning_rate_factor,
                    is_8bit(slice)});
    num_elements += slice.numel();
    if (is_8bit(slice)) num_blocks_ += num_blocks_of(slice);
  }
}

void AdamW8Bit::join_or_append(const Run& run) {
  if (!runs_.empty()) {
    Run& last = runs_.back();
    const bool meets = last.end == run.begin && (!run.is_8bit || last.numel() % kBlock == 0);
    if (meets && last.is_8bit == run.is_8bit && last.learning_rate_factor == run.learning_rate_factor) {
      last.end = run.end;
      return;
    }
  }
  runs_.push_back(run);
}

void AdamW8Bit::step(const at::Tensor& gradients, double learning_rate, double gradient_factor) {
  core::require(gradients.numel() == parameters_.numel(), "AdamW8Bit: gradients and parameters differ in size");
  ++num_updates_;
  for (const Run& run : runs_) {
    const at::Tensor g = gradients.slice(0, run.begin, run.end);
    const double rate = learning_rate * run.learning_rate_factor;
    if (run.is_8bit) {
      step_8bit(run, g, rate, gradient_factor);
    } else {
      step_32bit(run, g, rate, gradient_factor);
    }
  }
}

void AdamW8Bit::step_8bit(const Run& run, const at::Tensor& gradients, double learning_rate, double gradient_factor) {
  const auto codes = [&](const at::Tensor& words) {
    return words.view(at::kByte).slice(0, run.state_begin, run.state_begin + run.numel());
  };
  const auto blocks = [&](const at::Tensor& absmax) {
    return absmax.slice(0, run.first_block, run.first_block + model::ops::num_blocks_of(run.numel(), kBlock));
  };
  at::Tensor parameters = parameters_.slice(0, run.begin, run.end);
  model::ops::AdamW8BitState state{codes(state1_), codes(state2_), blocks(absmax1_), blocks(absmax2_)};
  model::ops::adamw8bit_in_place(parameters, gradients, state, maps_,
                                 {.learning_rate = learning_rate,
                                  .weight_decay = config_.weight_decay,
                                  .beta1 = config_.beta1,
                                  .beta2 = config_.beta2,
                                  .epsilon = config_.epsilon,
                                  .num_updates = num_updates_,
                                  .gradient_factor = gradient_factor});
}

void AdamW8Bit::step_32bit(const Run& run, const at::Tensor& gradients, double learning_rate, double gradient_factor) {
  const std::int64_t first = run.state_begin, last = run.state_begin + run.numel();
  fused_adamw({{parameters_.slice(0, run.begin, run.end)},
               {gradients},
               {exp_avg_.slice(0, first, last)},
               {exp_avg_sq_.slice(0, first, last)}},
              config_, num_updates_, learning_rate, gradient_factor);
}

std::vector<at::Tensor> AdamW8Bit::state() const {
  return {state1_, state2_, absmax1_, absmax2_, exp_avg_, exp_avg_sq_};
}

std::vector<model::NamedTensor> AdamW8Bit::named_views(const std::vector<at::Tensor>& state) const {
  std::vector<model::NamedTensor> views;
  const auto add = [&](const char* prefix, const std::string& name, const at::Tensor& flat, std::int64_t begin,
                       const std::vector<std::int64_t>& shape) {
    views.push_back({prefix + name, flat.slice(0, begin, begin + numel_of(shape)).view(shape)});
  };
  const at::Tensor codes1 = state[0].view(at::kByte), codes2 = state[1].view(at::kByte);
  for (size_t i = 0; i < slices_.size(); ++i) {
    const ParamGroup& slice = slices_[i];
    const Place& place = places_[i];
    if (is_8bit(slice)) {
      add("state1.", slice.name, codes1, place.state_begin, slice.shape);
      add("state2.", slice.name, codes2, place.state_begin, slice.shape);
      add("absmax1.", slice.name, state[2], place.first_block, {num_blocks_of(slice)});
      add("absmax2.", slice.name, state[3], place.first_block, {num_blocks_of(slice)});
    } else {
      add("exp_avg.", slice.name, state[4], place.state_begin, slice.shape);
      add("exp_avg_sq.", slice.name, state[5], place.state_begin, slice.shape);
    }
  }
  return views;
}

}  // namespace allreco::train
