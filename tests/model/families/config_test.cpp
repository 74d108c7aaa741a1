#include "model/families/config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>

#include "core/files.h"
#include "model/decoder/weights.h"
#include "model/golden.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::model {
using core::Json;
using testing::golden;

namespace {

const Json kLlama{{"model_type", "llama"},   {"vocab_size", 64},       {"hidden_size", 24},
                  {"intermediate_size", 40}, {"num_hidden_layers", 2}, {"num_attention_heads", 6}};

ModelConfig read(const Json& json) {
  const support::TemporaryDirectory directory;
  core::write_json_file(directory / "config.json", json);
  return read_model_config(directory.path());
}

ModelConfig read_patched(const Json& patch) {
  Json json = kLlama;
  json.update(patch);
  return read(json);
}

}  // namespace

TEST(Config, ReadsBothStylesOfTransformers) {
  for (const std::string model :
       {"llama-tiny", "mistral-tiny", "llama3rope-tiny", "qwen2-tiny", "qwen2.5-tiny", "qwen3-tiny", "smollm3-tiny",
        "llama-bias-tiny", "gemma3-tiny", "gemma3-scaled-tiny"}) {
    const ModelConfig five = read_model_config(golden(model)),
                      four = read_model_config(golden(model + "/config.v4.json"));
    EXPECT_EQ(to_json(five), to_json(four)) << model;
    const bool is_gemma = model.starts_with("gemma");
    EXPECT_EQ(five.eos_token_ids, std::vector<std::int64_t>{is_gemma ? 1 : 2});
    EXPECT_EQ(five.bos_token_id, is_gemma ? 2 : 1);
    EXPECT_EQ(five.checkpoint_dtype, at::kFloat);
    EXPECT_EQ(five.max_position_embeddings, four.max_position_embeddings);
  }
  const ModelConfig mistral = read_model_config(golden("mistral-tiny"));
  EXPECT_EQ(
      to_json(mistral).dump(),
      R"({"model_type":"mistral","vocab_size":256,"hidden_size":64,"intermediate_size":160,"num_hidden_layers":2,)"
      R"("num_attention_heads":4,"num_key_value_heads":2,"head_dim":24,"rms_norm_eps":1e-05,"rope_theta":1000000.0,)"
      R"("rope_scaling":null,"sliding_window":16,"tie_word_embeddings":false})");
  const ModelConfig rope = read_model_config(golden("llama3rope-tiny"));
  EXPECT_TRUE(rope.tie_word_embeddings);
  EXPECT_EQ(rope.ropes[0].theta, 500000);
  ASSERT_TRUE(rope.ropes[0].llama3);
  EXPECT_EQ(rope.ropes[0].llama3->original_max_position_embeddings, 64);
}

TEST(Config, RefusesSizesBeyondAnyModel) {
  const std::vector<std::pair<Json, std::string>> refusals{
      {{{"hidden_size", 1000000000000000}},
       "hidden_size = 1000000000000000 is not supported: expected a whole number from 1"},
      {{{"hidden_size", 1e15}}, "hidden_size"},
      {{{"hidden_size", -24}}, "hidden_size"},
      {{{"num_hidden_layers", 1000000000}},
       "num_hidden_layers = 1000000000 is not supported: expected a whole number from 1 to 4096"},
      {{{"vocab_size", 4294967296}}, "vocab_size"},
      {{{"num_attention_heads", 5}}, "hidden_size"},
      {{{"num_key_value_heads", 4}}, "num_key_value_heads"},
      {{{"num_attention_heads", 1048576}, {"head_dim", 64}}, "features"},
      {{{"max_position_embeddings", 1e18}}, "max_position_embeddings"},
  };
  for (const auto& [patch, expected] : refusals) {
    const std::string message = support::message_of([&] { read_patched(patch); });
    EXPECT_NE(message.find(expected), std::string::npos) << patch << " gave: " << message;
  }
}

TEST(Config, AddsTheEndsOfGenerationConfig) {
  const support::TemporaryDirectory directory;
  Json json = kLlama;
  json["eos_token_id"] = 7;
  core::write_json_file(directory / "config.json", json);
  core::write_json_file(directory / "generation_config.json", {{"eos_token_id", {5, 7}}, {"temperature", 0.6}});
  EXPECT_EQ(read_model_config(directory.path()).eos_token_ids, (std::vector<std::int64_t>{7, 5}));
  core::write_json_file(directory / "generation_config.json", {{"temperature", 0.6}});
  EXPECT_EQ(read_model_config(directory.path()).eos_token_ids, std::vector<std::int64_t>{7});
  core::write_json_file(directory / "generation_config.json", {{"eos_token_id", 64}});
  EXPECT_NE(support::message_of([&] { read_model_config(directory.path()); }).find("generation_config.json"),
            std::string::npos);
}

// The defaults of LlamaConfig and MistralConfig in transformers 5.23.
TEST(Config, TakesTheDefaultsOfTransformers) {
  const ModelConfig llama = read(kLlama);
  EXPECT_EQ(llama.num_key_value_heads, 6);
  EXPECT_EQ(llama.head_dim, 4);
  EXPECT_EQ(llama.rms_norm_eps, 1e-6);
  EXPECT_EQ(llama.ropes[0].theta, 10000);
  EXPECT_EQ(llama.max_position_embeddings, 2048);
  EXPECT_FALSE(llama.layers[0].window || llama.ropes[0].llama3 || llama.tie_word_embeddings);
  EXPECT_EQ(llama.bos_token_id, 1);
  EXPECT_EQ(llama.eos_token_ids, std::vector<std::int64_t>{2});

  const Json mistral{{"model_type", "mistral"}, {"hidden_size", 64}, {"num_attention_heads", 16}};
  EXPECT_EQ(read_patched(mistral).num_key_value_heads, 8);
  EXPECT_EQ(read_patched(mistral).layers[0].window, 4096);
  Json without = mistral;
  without.update({{"sliding_window", nullptr}, {"num_key_value_heads", nullptr}});
  EXPECT_FALSE(read_patched(without).layers[0].window);
  EXPECT_EQ(read_patched(without).num_key_value_heads, 16);

  const ModelConfig tokens = read_patched({{"eos_token_id", {5, 7}}, {"bos_token_id", nullptr}});
  EXPECT_EQ(tokens.eos_token_ids, (std::vector<std::int64_t>{5, 7}));
  EXPECT_EQ(tokens.bos_token_id, -1);
  EXPECT_TRUE(read_patched({{"eos_token_id", nullptr}}).eos_token_ids.empty());
  EXPECT_FALSE(read_patched({{"sliding_window", 8}}).layers[0].window);  // transformers ignores it for Llama
  EXPECT_EQ(read_patched({{"rope_scaling", {{"type", "default"}}}, {"rope_theta", 5}}).ropes[0].theta, 5);
}

TEST(Config, RefusesByNameWhatItWouldComputeDifferently) {
  const std::vector<std::pair<Json, std::string>> refusals{
      {{{"model_type", "gpt2"}}, "expected one of gemma3_text, llama, mistral, qwen2, qwen3, smollm3"},
      {{{"model_type", "gemma3"}}, "gemma3_text"},
      {{{"model_type", nullptr}}, "model_type"},
      {{{"quantization_config", {{"quant_method", "gptq"}}}}, "quantization_config"},
      {{{"model_type", "mistral"}, {"num_key_value_heads", 2}, {"attention_bias", true}}, "attention_bias"},
      {{{"attention_bias", "yes"}}, "attention_bias"},
      {{{"rope_interleaved", true}}, "rope_interleaved"},
      {{{"attention_dropout", 0.1}}, "attention_dropout"},
      {{{"hidden_act", "gelu"}}, "hidden_act"},
      {{{"rope_scaling", {{"rope_type", "yarn"}, {"factor", 4.0}}}}, "rope_scaling.rope_type = \"yarn\""},
      {{{"rope_scaling", {{"type", "dynamic"}, {"factor", 2.0}}}}, "rope_scaling.type"},
      {{{"rope_parameters", {{"rope_type", "llama3"}}}}, "rope_parameters.factor is missing"},
      {{{"rope_parameters", {{"full_attention", {{"rope_theta", 1e4}}}}}}, "rope_parameters"},
      {{{"rope_parameters", {{"partial_rotary_factor", 0.5}}}}, "partial_rotary_factor"},
      {{{"partial_rotary_factor", 0.5}}, "partial_rotary_factor"},
      {{{"rope_theta", 0}}, "rope_theta"},
      {{{"rms_norm_eps", -1e-6}}, "rms_norm_eps"},
      {{{"vocab_size", nullptr}}, "vocab_size is missing"},
      {{{"vocab_size", 0}}, "vocab_size"},
      {{{"hidden_size", "24"}}, "hidden_size"},
      {{{"hidden_size", 23}}, "hidden_size"},
      {{{"hidden_size", 24.5}}, "hidden_size"},
      {{{"intermediate_size", 1e18}}, "intermediate_size"},
      {{{"num_key_value_heads", 4}}, "num_key_value_heads"},
      {{{"head_dim", 5}}, "head_dim"},
      {{{"num_hidden_layers", 10001}}, "from 1 to 4096"},
      {{{"eos_token_id", 64}}, "eos_token_id"},
      {{{"eos_token_id", {1, "x"}}}, "eos_token_id"},
      {{{"tie_word_embeddings", "yes"}}, "tie_word_embeddings"},
      {{{"torch_dtype", "int8"}}, "torch_dtype"},
      {{{"model_type", "mistral"},
        {"num_key_value_heads", 2},
        {"layer_types", {"full_attention", "sliding_attention"}}},
       "layer_types"},
  };
  for (const auto& [patch, key] : refusals) {
    const std::string message = support::message_of([&, p = patch] { read_patched(p); });
    EXPECT_NE(message.find(key), std::string::npos) << patch << " gave: " << message;
    EXPECT_NE(message.find("config.json"), std::string::npos) << message;
  }
  EXPECT_THROW(read_model_config("/nonexistent"), core::UserError);
}

// Parameter counts as the models' pages and papers give them.
TEST(Config, NamedShapesHaveThePublishedSizes) {
  const std::map<std::string, std::int64_t> published{
      {"tinyllama-1.1b", 1'100'048'384}, {"mistral-7b", 7'241'732'096}, {"llama-2-7b", 6'738'415'616},
      {"llama-3.2-1b", 1'235'814'400},   {"smollm2-135m", 134'515'008}, {"stories260k", 260'032},
      {"qwen2.5-0.5b", 494'032'768},     {"qwen3-0.6b", 596'049'920},   {"gemma3-270m", 268'098'176},
      {"gemma3-1b", 999'885'952},        {"smollm3-3b", 3'075'098'624}};
  for (const auto& [name, count] : published) {
    std::int64_t total = 0;
    for (const TensorSpec& spec : expected_tensors(named_model_config(name))) {
      total += std::accumulate(spec.shape.begin(), spec.shape.end(), std::int64_t{1}, std::multiplies<>());
    }
    EXPECT_EQ(total, count) << name;
  }
  const ModelConfig stories = read_model_config(golden("stories260k/hf-bf16-sharded"));
  EXPECT_EQ(to_json(named_model_config("stories260k")), to_json(stories));
  EXPECT_NE(support::message_of([] { named_model_config("tinyllama"); }).find("tinyllama-1.1b"), std::string::npos);
}

TEST(Config, RopeFrequenciesAreThoseOfTransformers) {
  const SafetensorsFile io = testing::golden_tensors("llama3rope-tiny/io.safetensors");
  ModelConfig config = read_model_config(golden("llama3rope-tiny"));
  for (const std::string key : {"inv_freq", "inv_freq_unscaled"}) {
    const at::Tensor expected = io.tensor(key);
    const std::vector<double> actual = rope_inverse_frequencies(config.ropes[0], config.head_dim);
    ASSERT_EQ(static_cast<std::int64_t>(actual.size()), expected.numel());
    for (std::int64_t i = 0; i < expected.numel(); ++i) {
      const double e = expected[i].item<double>();
      // transformers computes in float32: power, division, wavelength and interpolation, each within 2^-23 or so; the
      // power's exponent error is amplified by log(theta) = 13.
      EXPECT_NEAR(actual[static_cast<size_t>(i)], e, 20 * 0x1p-23 * e) << key << " " << i;
    }
    config.ropes[0].llama3.reset();
  }
}

}  // namespace allreco::model
