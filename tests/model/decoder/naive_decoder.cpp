#include "model/decoder/naive_decoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <numbers>

namespace allreco::model::testing {

namespace {

std::string stem_of(std::int64_t layer, Projection p) {
  return fmt::format("base_model.model.model.layers.{}.{}.", layer, std::string(module_path_of(p)));
}

/// theta^(-2 i / E), slower where the rope is scaled: Llama 3.1's by wavelength, in the words of Meta's apply_scaling
/// (llama-models, models/llama3/model.py).
std::vector<double> frequencies_of(const Rope& rope, std::int64_t head_dim) {
  std::vector<double> frequencies;
  for (std::int64_t i = 0; i < head_dim; i += 2) {
    const double frequency = 1 / std::pow(rope.theta, static_cast<double>(i) / static_cast<double>(head_dim));
    if (!rope.llama3) {
      frequencies.push_back(frequency / rope.linear_factor);
      continue;
    }
    const auto context = static_cast<double>(rope.llama3->original_max_position_embeddings);
    const double wavelength = 2 * std::numbers::pi / frequency, factor = rope.llama3->factor;
    const double low = rope.llama3->low_freq_factor, high = rope.llama3->high_freq_factor;
    if (wavelength < context / high) {
      frequencies.push_back(frequency);
    } else if (wavelength > context / low) {
      frequencies.push_back(frequency / factor);
    } else {
      const double smooth = (context / wavelength - low) / (high - low);
      frequencies.push_back((1 - smooth) * frequency / factor + smooth * frequency);
    }
  }
  return frequencies;
}

}  // namespace

NaiveDecoder::NaiveDecoder(const ModelConfig& config, const Weights& weights, const LoraStore* lora)
    : config_(config), weights_(weights) {
  if (lora == nullptr) return;
  for (std::int64_t layer = 0; layer < lora->num_layers(); ++layer) {
    for (const LoraGroupKind kind : kLoraGroups) {
      const LoraGroup& group = lora->group(layer, kind);
      for (size_t i = 0; i < group.members.size(); ++i) scalings_[stem_of(layer, group.members[i])] = group.scalings[i];
    }
  }
  for (const LoraEntry& entry : lora->entries()) {
    leaves_[entry.name] =
        LoraStore::view_of(lora->parameters(), entry).to(at::kDouble, false, /*copy=*/true).set_requires_grad(true);
    if (lora->frozen_pair().defined())
      frozen_[entry.name] = LoraStore::view_of(lora->frozen_pair(), entry).to(at::kDouble, false, /*copy=*/true);
  }
}

at::Tensor NaiveDecoder::project(const at::Tensor& x, Projection p, std::int64_t layer, const Dropped& dropped) const {
  at::Tensor w = weights_.layers[static_cast<size_t>(layer)][p].dense().to(at::kDouble);
  const std::string stem = stem_of(layer, p);
  const auto frozen_a = frozen_.find(stem + "lora_A.weight");
  if (frozen_a != frozen_.end())  // PEFT's pissa_init: the base itself becomes this
    w = w - scalings_.at(stem) * at::matmul(frozen_.at(stem + "lora_B.weight"), frozen_a->second);
  at::Tensor y = at::matmul(x, w.t());
  const at::Tensor& bias = weights_.layers[static_cast<size_t>(layer)][p].bias();
  if (bias.defined()) y = y + bias.to(at::kDouble);
  const auto a = leaves_.find(stem + "lora_A.weight"), b = leaves_.find(stem + "lora_B.weight");
  if (a == leaves_.end()) return y;
  const double scaling = scalings_.at(stem);
  const at::Tensor input = dropped ? dropped(p, layer, x) : x;
  const at::Tensor branch = at::matmul(at::matmul(input, a->second.t()), b->second.t()) * scaling;
  const auto magnitude = leaves_.find(stem + "lora_magnitude_vector");
  if (magnitude == leaves_.end()) return y + branch;
  // PEFT's DoraLinearVariant: the norm takes no part in the gradient.
  const at::Tensor direction = (w + scaling * at::matmul(b->second, a->second)).detach();
  const at::Tensor scale = magnitude->second / at::sqrt((direction * direction).sum(1));
  return y + (scale - 1) * at::matmul(input, w.t()) + scale * branch;
}

at::Tensor NaiveDecoder::norm(const at::Tensor& x, const at::Tensor& weight) const {
  if (!weight.defined()) return x;
  const at::Tensor w = config_.norm_plus_one ? weight.to(at::kDouble) + 1 : weight.to(at::kDouble);
  return x / at::sqrt((x * x).mean({-1}, /*keepdim=*/true) + config_.rms_norm_eps) * w;
}

at::Tensor NaiveDecoder::rotate(const at::Tensor& x, std::int64_t layer) const {  // [L, heads, E]
  const auto rope = config_.layers[static_cast<size_t>(layer)].rope;
  if (!rope) return x;
  const auto frequencies = frequencies_of(config_.ropes[*rope], config_.head_dim);
  const at::Tensor angles =
      at::outer(at::arange(x.size(0), at::kDouble), at::tensor(frequencies, at::kDouble)).unsqueeze(1);  // [L, 1, E/2]
  const std::int64_t half = config_.head_dim / 2;
  const at::Tensor x1 = x.narrow(2, 0, half), x2 = x.narrow(2, half, half);
  return at::cat({x1 * at::cos(angles) - x2 * at::sin(angles), x2 * at::cos(angles) + x1 * at::sin(angles)}, 2);
}

at::Tensor NaiveDecoder::attend(const at::Tensor& h, std::int64_t layer, const Dropped& dropped) const {
  const std::int64_t length = h.size(0), heads = config_.num_attention_heads, kv = config_.num_key_value_heads;
  const auto split = [&](Projection p, std::int64_t n) {
    return project(h, p, layer, dropped).view({length, n, config_.head_dim});
  };
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  const auto turned = [&](Projection p, std::int64_t n, Norm n_of_heads) {
    return rotate(norm(split(p, n), w[n_of_heads]), layer).transpose(0, 1);
  };
  const at::Tensor q = turned(Projection::q, heads, Norm::q);  // [H, L, E]
  const at::Tensor k = turned(Projection::k, kv, Norm::k).repeat_interleave(heads / kv, 0);
  const at::Tensor v = split(Projection::v, kv).transpose(0, 1).repeat_interleave(heads / kv, 0);
  const at::Tensor i = at::arange(length, at::kLong).unsqueeze(1), j = at::arange(length, at::kLong).unsqueeze(0);
  at::Tensor hidden = j > i;
  if (const auto window = config_.layers[static_cast<size_t>(layer)].window)
    hidden = hidden.logical_or(j <= i - *window);
  const double divisor = std::sqrt(config_.query_pre_attn_scalar.value_or(static_cast<double>(config_.head_dim)));
  const at::Tensor scores =
      (at::matmul(q, k.transpose(1, 2)) / divisor).masked_fill(hidden, -std::numeric_limits<double>::infinity());
  const at::Tensor out = at::matmul(at::softmax(scores, -1), v).transpose(0, 1).reshape({length, -1});
  return project(out, Projection::o, layer, dropped);
}

at::Tensor NaiveDecoder::logits(const std::vector<std::int32_t>& tokens, const Dropped& dropped) const {
  at::Tensor x = weights_.embedding.to(at::kDouble)
                     .index_select(0, at::tensor(std::vector<std::int64_t>(tokens.begin(), tokens.end()), at::kLong)) *
                 config_.embedding_scale;
  for (std::int64_t layer = 0; layer < config_.num_hidden_layers; ++layer) {
    const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
    x = x + norm(attend(norm(x, w[Norm::input]), layer, dropped), w[Norm::attention_output]);
    const at::Tensor h = norm(x, w[Norm::mlp]), gate = project(h, Projection::gate, layer, dropped);
    const bool is_gelu = config_.activation == Activation::gelu_tanh;
    const at::Tensor activated = is_gelu ? at::gelu(gate, "tanh") : at::silu(gate);
    const at::Tensor m = activated * project(h, Projection::up, layer, dropped);
    x = x + norm(project(m, Projection::down, layer, dropped), w[Norm::mlp_output]);
  }
  const at::Tensor z = at::matmul(norm(x, weights_.final_norm), weights_.lm_head.to(at::kDouble).t());
  const auto cap = config_.final_logit_softcapping;
  return cap ? at::tanh(z / *cap) * *cap : z;
}

at::Tensor NaiveDecoder::nll_sum(const std::vector<std::int32_t>& tokens, std::int64_t prompt_length,
                                 const Dropped& dropped) const {
  const at::Tensor log_p = at::log_softmax(logits(tokens, dropped), -1);
  at::Tensor sum = at::tensor(0.0, at::kDouble);
  for (size_t t = static_cast<size_t>(std::max<std::int64_t>(prompt_length, 1)); t < tokens.size(); ++t) {
    sum = sum - log_p[static_cast<std::int64_t>(t) - 1][tokens[t]];
  }
  return sum;
}

}  // namespace allreco::model::testing
