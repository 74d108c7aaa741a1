// What a config computes, as JSON. Keys that only some families need stand there only where they say something, so that
// the fingerprint of a base stays what it was when a family is added.
#include <algorithm>

#include "model/families/config.h"

namespace allreco::model {
using core::Json;

namespace {

Json scaling_json(const Rope& rope) {
  if (rope.linear_factor != 1) return {{"rope_type", "linear"}, {"factor", rope.linear_factor}};
  if (!rope.llama3) return nullptr;
  return {{"rope_type", "llama3"},
          {"factor", rope.llama3->factor},
          {"low_freq_factor", rope.llama3->low_freq_factor},
          {"high_freq_factor", rope.llama3->high_freq_factor},
          {"original_max_position_embeddings", rope.llama3->original_max_position_embeddings}};
}

std::optional<std::int64_t> window_of(const ModelConfig& config) {
  for (const LayerAttention& layer : config.layers) {
    if (layer.window) return layer.window;
  }
  return std::nullopt;
}

void add_layers(const ModelConfig& config, Json& json) {
  const auto differs = [&](const LayerAttention& layer) {
    return layer.rope != size_t{0} || layer.window != config.layers.front().window;
  };
  if (std::none_of(config.layers.begin(), config.layers.end(), differs)) return;
  Json types = Json::array(), ropes = Json::array();
  for (const LayerAttention& layer : config.layers) {
    types.push_back(layer.window ? "sliding_attention" : "full_attention");
    ropes.push_back(layer.rope ? Json(*layer.rope) : Json());
  }
  json["layer_types"] = types;
  json["layer_ropes"] = ropes;
}

void add_norms(const ModelConfig& config, Json& json) {
  if (config.norms != ModelConfig().norms) {
    for (const NormName& norm : config.norms) json["norms"].push_back(norm.module);
  }
  if (config.norm_plus_one) json["norm_plus_one"] = true;
}

void add_biases(const ModelConfig& config, Json& json) {
  for (const Projection p : kProjections) {
    if (config.has_bias[index_of(p)]) json["biases"].push_back(name_of(p));
  }
}

}  // namespace

Json to_json(const ModelConfig& config) {
  const Rope& rope = config.ropes.front();
  const auto window = window_of(config);
  Json json{{"model_type", config.model_type},
            {"vocab_size", config.vocab_size},
            {"hidden_size", config.hidden_size},
            {"intermediate_size", config.intermediate_size},
            {"num_hidden_layers", config.num_hidden_layers},
            {"num_attention_heads", config.num_attention_heads},
            {"num_key_value_heads", config.num_key_value_heads},
            {"head_dim", config.head_dim},
            {"rms_norm_eps", config.rms_norm_eps},
            {"rope_theta", rope.theta},
            {"rope_scaling", scaling_json(rope)},
            {"sliding_window", window ? Json(*window) : Json()},
            {"tie_word_embeddings", config.tie_word_embeddings}};
  for (size_t i = 1; i < config.ropes.size(); ++i)
    json["other_ropes"].push_back(
        {{"rope_theta", config.ropes[i].theta}, {"rope_scaling", scaling_json(config.ropes[i])}});
  add_layers(config, json);
  add_norms(config, json);
  add_biases(config, json);
  if (config.activation == Activation::gelu_tanh) json["hidden_act"] = "gelu_pytorch_tanh";
  if (config.embedding_scale != 1) json["embedding_scale"] = config.embedding_scale;
  if (config.query_pre_attn_scalar) json["query_pre_attn_scalar"] = *config.query_pre_attn_scalar;
  if (config.final_logit_softcapping) json["final_logit_softcapping"] = *config.final_logit_softcapping;
  return json;
}

}  // namespace allreco::model
