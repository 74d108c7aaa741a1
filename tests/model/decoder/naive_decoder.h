// A naive decoder for the tests: one sequence at a time, dense masks, float64, gradients by libtorch's autograd. Shares
// no code with src/model but the containers.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "model/decoder/weights.h"
#include "model/families/config.h"
#include "model/lora/lora.h"

namespace allreco::model::testing {

class NaiveDecoder {
 public:
  /// Copies the store's factors as float64 leaves that require gradients; `lora` may be null.
  NaiveDecoder(const ModelConfig& config, const Weights& weights, const LoraStore* lora);

  /// Logits [L, V] of one sequence. `dropped(projection, layer, x)`, where given, replaces the LoRA branch's input.
  using Dropped = std::function<at::Tensor(Projection, std::int64_t layer, const at::Tensor& x)>;
  at::Tensor logits(const std::vector<std::int32_t>& tokens, const Dropped& dropped = {}) const;

  /// Sum of -log p(tokens[t]) for t >= max(prompt_length, 1).
  at::Tensor nll_sum(const std::vector<std::int32_t>& tokens, std::int64_t prompt_length,
                     const Dropped& dropped = {}) const;

  /// After backward(): the gradient of a factor by its PEFT name.
  at::Tensor gradient(const std::string& name) const { return leaves_.at(name).grad(); }

 private:
  at::Tensor project(const at::Tensor& x, Projection p, std::int64_t layer, const Dropped& dropped) const;
  at::Tensor attend(const at::Tensor& h, std::int64_t layer, const Dropped& dropped) const;
  at::Tensor norm(const at::Tensor& x, const at::Tensor& weight) const;
  at::Tensor rotate(const at::Tensor& x, std::int64_t layer) const;

  ModelConfig config_;
  Weights weights_;
  std::map<std::string, double> scalings_;  // by module
  std::map<std::string, at::Tensor> leaves_;
  std::map<std::string, at::Tensor> frozen_;  // of a start from the weights
};

}  // namespace allreco::model::testing
