#include "bench/flops.h"

#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <set>
#include <utility>

#include "model/decoder/projection.h"
#include "model/device.h"
#include "model/ops/matmul.h"

namespace allreco::bench {
namespace {

/// Query i of an example sees its own key and those before it, at most `window` in all.
double num_pairs(std::int64_t tokens, std::optional<std::int64_t> window) {
  const auto n = static_cast<double>(tokens);
  if (!window || *window >= tokens) return n * (n + 1) / 2;
  const auto w = static_cast<double>(*window);
  return w * (w + 1) / 2 + (n - w) * w;
}

double seconds_of_product(const at::Tensor& a, const at::Tensor& b, at::Device device) {
  const auto begin = std::chrono::steady_clock::now();
  at::mm(a, b);
  model::wait_for_device(device);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

ProductSpeed measure(std::int64_t rows, std::int64_t in, std::int64_t out, at::TensorOptions options) {
  constexpr int kLeast = 3, kMost = 50;
  constexpr double kEnough = 0.2;
  const at::Tensor a = at::ones({rows, in}, options), b = at::ones({out, in}, options).t();  // weights are [out, in]
  seconds_of_product(a, b, options.device());                                                // warms up
  double best = 1e30, sum = 0;
  for (int i = 0; i < kMost && (i < kLeast || sum < kEnough); ++i) {
    const double seconds = seconds_of_product(a, b, options.device());
    best = std::min(best, seconds);
    sum += seconds;
  }
  return {rows, in, out, 2.0 * static_cast<double>(rows) * static_cast<double>(in) * static_cast<double>(out) / best};
}

}  // namespace

StepFlop flop_of_step(const model::ModelConfig& config, const model::LoraConfig& lora,
                      const std::vector<ExampleSize>& examples) {
  double frozen = 0, learned = 0;
  for (const model::Projection p : model::kProjections) {
    const auto [out, in] = model::shape_of(p, config);
    frozen += static_cast<double>(config.num_hidden_layers) * static_cast<double>(out) * static_cast<double>(in);
  }
  for (const model::LoraEntry& entry : model::LoraStore::entries_of(config, lora))
    learned += static_cast<double>(entry.numel());
  StepFlop flop;
  for (const ExampleSize& example : examples) {
    const auto tokens = static_cast<double>(example.tokens);
    flop.projections += 4 * tokens * frozen;
    flop.lora += 6 * tokens * learned;
    for (const model::LayerAttention& layer : config.layers)
      flop.attention += 12 * static_cast<double>(config.num_attention_heads * config.head_dim) *
                        num_pairs(example.tokens, layer.window);
    flop.loss_head += 4 * static_cast<double>(example.supervised_tokens) * static_cast<double>(config.vocab_size) *
                      static_cast<double>(config.hidden_size);
  }
  return flop;
}

std::vector<ProductSpeed> measure_products(const model::ModelConfig& config, at::ScalarType dtype, at::Device device,
                                           std::int64_t rows) {
  const bool widens = device.is_cpu() && model::ops::widens_products(dtype);
  const auto options = at::TensorOptions(device).dtype(widens ? at::kFloat : dtype);
  std::set<std::pair<std::int64_t, std::int64_t>> shapes;
  std::vector<ProductSpeed> speeds;
  for (const model::Projection p : model::kProjections) {
    const auto [out, in] = model::shape_of(p, config);
    if (shapes.insert({out, in}).second) speeds.push_back(measure(rows, in, out, options));
  }
  return speeds;
}

}  // namespace allreco::bench
