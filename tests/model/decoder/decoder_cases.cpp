#include "model/decoder/decoder_cases.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/max.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/check.h"
#include "core/random.h"
#include "model/decoder/decoder.h"
#include "model/ops/dropout.h"

namespace allreco::model::testing {
using core::Json;

namespace {

ModelConfig tiny(std::int64_t heads, std::int64_t kv_heads, std::int64_t head_dim) {
  ModelConfig c;
  c.vocab_size = kCaseVocabSize;
  c.hidden_size = 24;
  c.intermediate_size = 40;
  c.num_hidden_layers = 3;
  c.layers.resize(3);
  c.num_attention_heads = heads;
  c.num_key_value_heads = kv_heads;
  c.head_dim = head_dim;
  return c;
}

/// A family's `keys` over random sizes.
DecoderCase family_of(const std::string& name, std::int64_t num_layers, Json keys) {
  core::RandomStream stream(core::key_of(name));
  const auto draw = [&](std::uint64_t least, std::uint64_t most) {
    return least + stream.next_below(most - least + 1);
  };
  const std::uint64_t kv_heads = draw(1, 2);
  keys.update({{"vocab_size", kCaseVocabSize},
               {"hidden_size", 4 * draw(4, 7)},
               {"intermediate_size", 4 * draw(7, 12)},
               {"num_hidden_layers", num_layers},
               {"num_key_value_heads", kv_heads},
               {"num_attention_heads", kv_heads * draw(1, 3)},
               {"head_dim", 2 * draw(3, 8)}});
  DecoderCase c{name, parse_model_config(keys, name), {}, /*weight_factor=*/8};
  c.lora.r = static_cast<std::int64_t>(draw(1, 4));
  return c;
}

Json llama3_scaling() {
  return {{"rope_type", "llama3"},
          {"factor", 8},
          {"low_freq_factor", 1},
          {"high_freq_factor", 4},
          {"original_max_position_embeddings", 16}};
}

/// x + factor N(0, 1)
void add_noise(at::Tensor& x, double factor, core::RandomStream& stream) {
  if (!x.defined()) return;
  x = x.clone();
  auto* p = x.data_ptr<double>();
  for (std::int64_t i = 0; i < x.numel(); ++i) p[i] += factor * stream.next_normal();
}

/// The identity norms and zero biases of random_weights show nothing.
void randomize(Weights& weights, double factor, core::RandomStream& stream) {
  for (LayerWeights& layer : weights.layers) {
    for (at::Tensor& norm : layer.norms) add_noise(norm, 0.3, stream);
    for (FrozenLinear& projection : layer.projections) {
      at::Tensor bias = projection.bias();
      add_noise(bias, 0.3, stream);
      projection = FrozenLinear(projection.dense() * factor);
      projection.set_bias(bias);
    }
  }
  add_noise(weights.final_norm, 0.3, stream);
}

void quantize(Weights& weights) {
  const auto workspace = std::make_shared<DenseWorkspace>();
  for (LayerWeights& layer : weights.layers) {
    for (FrozenLinear& projection : layer.projections) {
      const at::Tensor bias = projection.bias();
      const at::Tensor values = projection.dense().to(at::kFloat).contiguous();
      projection = FrozenLinear(ops::nf4_quantize(values, 64, /*double_quant=*/true), at::kDouble, workspace);
      projection.set_bias(bias);
    }
  }
}

void randomize(LoraStore& store, core::RandomStream& stream) {
  auto* p = store.parameters().data_ptr<double>();
  for (std::int64_t i = 0; i < store.num_parameters(); ++i) p[i] = 0.2 * stream.next_normal();
  if (store.frozen_pair().defined()) {  // another one than the start: this is about the products
    auto* frozen = store.frozen_pair().data_ptr<double>();
    for (std::int64_t i = 0; i < store.num_parameters(); ++i) frozen[i] = 0.2 * stream.next_normal();
  }
  store.refresh_frozen_pair();
  store.refresh_compute_copy();
}

}  // namespace

std::vector<DecoderCase> lora_cases() {
  DecoderCase plain{"gqa", tiny(4, 2, 6), {}};
  plain.lora.r = 3;
  DecoderCase window{"window", tiny(2, 1, 16), {}};
  for (LayerAttention& layer : window.config.layers) layer.window = 5;
  window.config.tie_word_embeddings = true;
  window.lora.r = 2;
  window.lora.use_rslora = true;
  DecoderCase some{"some_targets", tiny(2, 2, 12), {}};
  some.lora.target_modules = {"v_proj", "up_proj"};
  some.lora.r = 4;
  DecoderCase mlp{"down_only", tiny(2, 2, 12), {}};
  mlp.lora.target_modules = {"down_proj"};
  DecoderCase dropout{"dropout", tiny(4, 2, 6), {}};
  dropout.lora.lora_dropout = 0.25;
  DecoderCase patterns{"patterns", tiny(4, 2, 6), {}};
  patterns.lora.r = 2;
  patterns.lora.rank_pattern = {{"k_proj", 4}, {"layers.2.mlp.up_proj", 1}};
  patterns.lora.alpha_pattern = {{"v_proj", 5}, {"(gate|down)_proj", 3}};
  patterns.lora.layers_to_transform = {1, 2};
  patterns.lora.lora_dropout = 0.25;
  DecoderCase dora{"dora", tiny(4, 2, 6), {}};
  dora.lora.r = 3;
  dora.lora.use_dora = true;
  dora.lora.use_rslora = true;
  dora.lora.rank_pattern = {{"v_proj", 2}};
  dora.lora.exclude_modules = {"up_proj"};
  DecoderCase dora_dropout = dora;
  dora_dropout.name = "dora_dropout";
  dora_dropout.lora.lora_dropout = 0.25;
  DecoderCase frozen_pair{"frozen_pair", tiny(4, 2, 6), {}};
  frozen_pair.lora.init_lora_weights = "pissa";
  frozen_pair.lora.r = 3;
  frozen_pair.lora.rank_pattern = {{"k_proj", 2}, {"layers.2.mlp.up_proj", 1}};
  frozen_pair.lora.alpha_pattern = {{"v_proj", 5}};
  frozen_pair.lora.exclude_modules = {"layers.0.self_attn.q_proj"};
  DecoderCase frozen_pair_dropout = frozen_pair;
  frozen_pair_dropout.name = "frozen_pair_dropout";
  frozen_pair_dropout.lora.lora_dropout = 0.25;
  return {plain, window, some, mlp, dropout, patterns, dora, dora_dropout, frozen_pair, frozen_pair_dropout};
}

// Examples have 2, 9 and 13 tokens, generated texts up to 21: windows are shorter and longer than that.
std::vector<DecoderCase> family_cases() {
  return {family_of("llama3", 2, {{"model_type", "llama"}, {"rope_theta", 5e5}, {"rope_scaling", llama3_scaling()}}),
          family_of("llama_bias", 2,
                    {{"model_type", "llama"},
                     {"attention_bias", true},
                     {"mlp_bias", true},
                     {"rope_scaling", {{"type", "linear"}, {"factor", 4}}}}),
          family_of("mistral", 2, {{"model_type", "mistral"}, {"sliding_window", 4}}),
          family_of("qwen2", 3,
                    {{"model_type", "qwen2"},
                     {"use_sliding_window", true},
                     {"sliding_window", 3},
                     {"max_window_layers", 2},
                     {"tie_word_embeddings", true}}),
          family_of("qwen3", 2, {{"model_type", "qwen3"}, {"attention_bias", true}, {"rope_theta", 1e6}}),
          family_of(
              "smollm3", 3,
              {{"model_type", "smollm3"}, {"no_rope_layers", {1, 0, 1}}, {"attention_bias", true}, {"mlp_bias", true}}),
          family_of("gemma3", 3,
                    {{"model_type", "gemma3_text"},
                     {"sliding_window", 4},
                     {"sliding_window_pattern", 2},
                     {"query_pre_attn_scalar", 5},
                     {"rope_scaling", {{"rope_type", "linear"}, {"factor", 8}}},
                     {"final_logit_softcapping", 2.5}}),
          family_of("gemma3_wide_window", 2,
                    {{"model_type", "gemma3_text"},
                     {"sliding_window", 64},
                     {"layer_types", {"full_attention", "sliding_attention"}},
                     {"attention_bias", true},
                     {"tie_word_embeddings", false}})};
}

const DecoderCase& family_case(const std::string& name) {
  static const std::vector<DecoderCase> kCases = family_cases();
  const auto found = std::find_if(kCases.begin(), kCases.end(), [&](const DecoderCase& c) { return c.name == name; });
  core::require(found != kCases.end(), "no such family case");
  return *found;
}

DecoderFixture::DecoderFixture(const DecoderCase& c, Storage storage)
    : config(c.config),
      weights(random_weights(c.config, at::kDouble, 1)),
      store(c.config, c.lora, at::kDouble, 2),
      amplification(c.weight_factor == 1 ? 1 : 100) {
  core::RandomStream stream(3);
  randomize(store, stream);
  for (auto* w : {&weights.embedding, &weights.lm_head}) *w = *w * 5;  // logits of a size that matters
  if (config.tie_word_embeddings) weights.lm_head = weights.embedding;
  std::uint64_t key = 10;
  for (const auto& [length, prompt] : std::vector<std::pair<int, int>>{{9, 4}, {13, 0}, {2, 1}}) {
    Sample sample{{}, prompt, key++};
    for (int i = 0; i < length; ++i)
      sample.tokens.push_back(static_cast<std::int32_t>(stream.next_below(kCaseVocabSize)));
    examples.push_back(sample);
  }
  randomize(weights, c.weight_factor, stream);
  if (storage == Storage::nf4) quantize(weights);
}

PackedBatch DecoderFixture::batch(const std::vector<size_t>& which) const {
  PackedBatchBuilder builder;
  for (size_t i : which) builder.add_example(examples[i].tokens, examples[i].prompt_length, examples[i].key);
  return builder.build();
}

NaiveDecoder::Dropped DecoderFixture::dropped(const Sample& sample, double p) const {
  if (p == 0) return {};
  std::vector<std::int64_t> keys;
  for (size_t i = 0; i < sample.tokens.size(); ++i)
    keys.push_back(static_cast<std::int64_t>(core::mix_key(sample.key, {i})));
  const at::Tensor row_keys = at::tensor(keys, at::kLong);
  return [row_keys, p](Projection projection, std::int64_t layer, const at::Tensor& x) {
    const std::uint64_t layer_key = core::mix_key(kStepKey, {static_cast<std::uint64_t>(layer)});
    const std::uint64_t key = core::mix_key(layer_key, {index_of(projection)});
    const at::Tensor mask = ops::dropout(at::ones_like(x.detach()), row_keys, key, p);
    return x * mask;
  };
}

double worst_difference(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

double rounding_of(const at::Tensor& expected, double amplification) {
  return 1e-12 * amplification * std::max(1.0, expected.abs().max().item<double>());
}

void expect_step_equals_naive(DecoderFixture& f) {
  Decoder decoder(f.config, f.weights, &f.store);
  const double scale = 1.0 / 22, p = f.store.config().lora_dropout;
  const double nll = decoder.forward_backward(f.batch({0, 1, 2}), {.gradient_scale = scale, .dropout_key = kStepKey});

  NaiveDecoder naive(f.config, f.weights, &f.store);
  double expected_nll = 0;
  for (const auto& sample : f.examples) {
    const at::Tensor loss = naive.nll_sum(sample.tokens, sample.prompt_length, f.dropped(sample, p));
    expected_nll += loss.item<double>();
    (loss * scale).backward();
  }
  EXPECT_NEAR(nll, expected_nll, 1e-10);
  for (const LoraEntry& entry : f.store.entries()) {
    const at::Tensor gradient = LoraStore::view_of(f.store.gradients(), entry);
    const at::Tensor expected = naive.gradient(entry.name);
    EXPECT_LT(worst_difference(gradient, expected), rounding_of(expected, f.amplification)) << entry.name;
    EXPECT_GT(gradient.abs().max().item<double>(), 1e-6) << entry.name << " has no gradient: the test shows nothing";
  }
}

}  // namespace allreco::model::testing
