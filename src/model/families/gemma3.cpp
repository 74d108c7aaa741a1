// Gemma 3, the text models (270M, 1B): norms around both halves of a layer and on heads, all with 1 + w; GeGLU; scaled
// embeddings; five layers that slide, with a rope of their own, for each that sees everything.
#include <cmath>

#include "model/families/config_fields.h"
#include "model/families/families.h"

namespace allreco::model {

namespace {

constexpr size_t kGlobalRope = 0, kLocalRope = 1;

/// rope_parameters (transformers 5) holds an object for each type of layer; before, rope_scaling was for the global
/// layers alone, and rope_local_base_freq for the sliding ones.
void read_ropes(const ConfigKeys& keys, ModelConfig& config) {
  config.ropes.resize(2);
  Rope &global = config.ropes[kGlobalRope], &local = config.ropes[kLocalRope];
  global.theta = keys.positive("rope_theta", 1e6);
  local.theta = keys.positive("rope_local_base_freq", 1e4);
  keys.expect("partial_rotary_factor", 1);
  const bool has_parameters = keys.present("rope_parameters"), has_scaling = keys.present("rope_scaling");
  if (has_parameters && has_scaling)
    keys.refuse("rope_scaling", "expected it or rope_parameters, not both; remove the one that does not hold");
  if (has_scaling) read_rope_parameters(keys.child("rope_scaling"), config.max_position_embeddings, global);
  if (!has_parameters) return;
  const ConfigKeys parameters = keys.child("rope_parameters");
  for (const auto& [name, value] : keys.at("rope_parameters").items()) {
    if (name == "full_attention" && value.is_object()) {
      read_rope_parameters(parameters.child(name), config.max_position_embeddings, global);
    } else if (name == "sliding_attention" && value.is_object()) {
      read_rope_parameters(parameters.child(name), config.max_position_embeddings, local);
    } else if (!value.is_null()) {
      parameters.refuse(name, "expected an object each for full_attention and sliding_attention");
    }
  }
}

/// layer_types, or by sliding_window_pattern the last of so many sees everything.
void read_pattern(const ConfigKeys& keys, ModelConfig& config) {
  std::vector<bool> slides = sliding_layers(keys, config);
  const std::int64_t pattern = keys.size_or("sliding_window_pattern", 6);
  for (std::int64_t layer = 0; slides.size() < config.layers.size(); ++layer)
    slides.push_back((layer + 1) % pattern != 0);
  const bool has_window = !keys.has("sliding_window") || keys.present("sliding_window");
  for (size_t layer = 0; layer < slides.size(); ++layer) {
    if (!slides[layer]) continue;
    if (!has_window) keys.refuse("sliding_window", "expected a number: some layers slide");
    config.layers[layer] = {keys.size_or("sliding_window", 4096, kMostPositions), kLocalRope};
  }
}

}  // namespace

void read_gemma3(const ConfigKeys& keys, ModelConfig& config) {
  read_sizes(keys,
             {.num_key_value_heads = 4,
              .head_dim = 256,
              .max_position_embeddings = 131072,
              .tie_word_embeddings = true,
              .bos_token_id = 2,
              .eos_token_id = 1},
             config);
  keys.expect("use_bidirectional_attention", false);
  config.norms = {kInputNorm,
                  kQueryNorm,
                  kKeyNorm,
                  {Norm::attention_output, "post_attention_layernorm"},
                  {Norm::mlp, "pre_feedforward_layernorm"},
                  {Norm::mlp_output, "post_feedforward_layernorm"}};
  config.norm_plus_one = true;
  config.embedding_scale = std::sqrt(static_cast<double>(config.hidden_size));
  config.query_pre_attn_scalar = keys.positive("query_pre_attn_scalar", 256);
  config.final_logit_softcapping = keys.positive_or_none("final_logit_softcapping");
  read_ropes(keys, config);
  read_pattern(keys, config);
  read_activation(keys, "hidden_activation", Activation::gelu_tanh, config);
  read_attention_bias(keys, config);  // attn_logit_softcapping is there, too, and transformers never uses it
}

}  // namespace allreco::model
