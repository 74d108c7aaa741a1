#include "model/families/config_fields.h"

#include <fmt/core.h>

#include "core/check.h"

namespace allreco::model {
using core::Json;
using core::user_error;

namespace {

void check_heads(const ConfigKeys& keys, const ModelConfig& config) {
  if (config.head_dim > kLargestWidth / config.num_attention_heads) {
    user_error("{}: num_attention_heads = {} of head_dim = {} are more than {} features", keys.file(),
               config.num_attention_heads, config.head_dim, kLargestWidth);
  }
  if (config.head_dim % 2 != 0) {
    user_error("{}: head_dim = {} is odd; rotary positions need pairs", keys.file(), config.head_dim);
  }
  if (config.num_attention_heads % config.num_key_value_heads != 0) {
    user_error("{}: num_attention_heads = {} is no multiple of num_key_value_heads = {}", keys.file(),
               config.num_attention_heads, config.num_key_value_heads);
  }
}

std::int64_t token_id(const ConfigKeys& keys, const char* key, const Json& value, std::int64_t vocab_size) {
  if (!value.is_number_integer() || value.get<double>() < 0 || value.get<double>() >= static_cast<double>(vocab_size)) {
    keys.refuse(key, fmt::format("expected token ids below vocab_size = {}", vocab_size));
  }
  return value.get<std::int64_t>();
}

}  // namespace

void read_sizes(const ConfigKeys& keys, const FamilyDefaults& defaults, ModelConfig& config) {
  config.vocab_size = keys.size("vocab_size");
  config.hidden_size = keys.size("hidden_size", kLargestWidth);
  config.intermediate_size = keys.size("intermediate_size", kLargestWidth);
  config.num_hidden_layers = keys.size("num_hidden_layers", kMostLayers);
  config.layers.assign(static_cast<size_t>(config.num_hidden_layers), {});
  config.num_attention_heads = keys.size("num_attention_heads", kLargestWidth);
  const bool has_default = defaults.num_key_value_heads && !keys.has("num_key_value_heads");
  config.num_key_value_heads = keys.size_or(
      "num_key_value_heads", has_default ? *defaults.num_key_value_heads : config.num_attention_heads, kLargestWidth);
  const bool needs_division = !keys.present("head_dim") && (keys.has("head_dim") || !defaults.head_dim);
  if (needs_division && config.hidden_size % config.num_attention_heads != 0) {
    keys.refuse("hidden_size", fmt::format("it is no multiple of num_attention_heads = {} and there is no head_dim",
                                           config.num_attention_heads));
  }
  config.head_dim = keys.size_or(
      "head_dim", needs_division ? config.hidden_size / config.num_attention_heads : defaults.head_dim.value_or(0));
  check_heads(keys, config);
  config.max_position_embeddings =
      keys.size_or("max_position_embeddings", defaults.max_position_embeddings, kMostPositions);
  config.tie_word_embeddings = keys.flag("tie_word_embeddings", defaults.tie_word_embeddings);
  read_special_tokens(keys, defaults, config);
}

void read_activation(const ConfigKeys& keys, const std::string& name, Activation fallback, ModelConfig& config) {
  config.activation = fallback;
  if (!keys.present(name)) return;
  const std::string value = keys.text(name, "");
  if (value == "silu" || value == "swish") {
    config.activation = Activation::silu;
  } else if (value == "gelu_pytorch_tanh") {
    config.activation = Activation::gelu_tanh;
  } else {
    keys.refuse(name, "expected silu or gelu_pytorch_tanh");
  }
}

void read_rope_parameters(const ConfigKeys& keys, std::int64_t max_position_embeddings, Rope& rope) {
  const std::string type_key = keys.present("rope_type") ? "rope_type" : "type";
  const std::string type = keys.text(type_key, "default");
  rope.theta = keys.positive("rope_theta", rope.theta);
  keys.expect("partial_rotary_factor", 1);
  if (type == "default") return;
  if (type == "linear") {
    rope.linear_factor = keys.positive("factor");
    return;
  }
  if (type != "llama3") keys.refuse(type_key, "expected default, linear or llama3");
  Llama3RopeScaling scaling;
  scaling.factor = keys.positive("factor");
  scaling.low_freq_factor = keys.positive("low_freq_factor");
  scaling.high_freq_factor = keys.positive("high_freq_factor");
  scaling.original_max_position_embeddings =
      keys.size_or("original_max_position_embeddings", max_position_embeddings, kMostPositions);
  if (scaling.high_freq_factor <= scaling.low_freq_factor) {
    keys.refuse("high_freq_factor", "expected more than low_freq_factor");
  }
  rope.llama3 = scaling;
}

void read_rope(const ConfigKeys& keys, double default_theta, ModelConfig& config) {
  Rope& rope = config.ropes.front();
  rope.theta = keys.positive("rope_theta", default_theta);
  keys.expect("partial_rotary_factor", 1);
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!keys.present(key) || keys.at(key).empty()) continue;
    if (!keys.at(key).is_object()) keys.refuse(key, "expected an object");
    for (const auto& [name, value] : keys.at(key).items()) {
      if (value.is_object()) keys.refuse(key, "expected one setting for all layers");
    }
    read_rope_parameters(keys.child(key), config.max_position_embeddings, rope);
    return;
  }
}

std::vector<bool> sliding_layers(const ConfigKeys& keys, const ModelConfig& config) {
  std::vector<bool> slides;
  for (const std::string& type : keys.layer_texts("layer_types", config.num_hidden_layers)) {
    if (type != "sliding_attention" && type != "full_attention")
      keys.refuse("layer_types", "expected full_attention or sliding_attention for each layer");
    slides.push_back(type == "sliding_attention");
  }
  return slides;
}

void read_optional_window(const ConfigKeys& keys, std::int64_t default_window, std::int64_t default_max_window_layers,
                          ModelConfig& config) {
  std::optional<std::int64_t> window;
  if (keys.flag("use_sliding_window") && (keys.present("sliding_window") || !keys.has("sliding_window")))
    window = keys.size_or("sliding_window", default_window, kMostPositions);
  std::vector<bool> slides = sliding_layers(keys, config);
  if (slides.empty()) {
    std::int64_t first = default_max_window_layers;
    if (keys.present("max_window_layers") && keys.at("max_window_layers") != 0)
      first = keys.size("max_window_layers", kMostLayers);
    else if (keys.present("max_window_layers"))
      first = 0;
    for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer) slides.push_back(window && layer >= first);
  }
  for (size_t layer = 0; layer < slides.size(); ++layer) {
    if (!slides[layer]) continue;
    if (!window) keys.refuse("layer_types", "sliding_attention needs a sliding_window, and use_sliding_window = true");
    config.layers[layer].window = window;
  }
}

void set_biases(std::initializer_list<Projection> projections, ModelConfig& config) {
  for (const Projection p : projections) config.has_bias[index_of(p)] = true;
}

void read_attention_bias(const ConfigKeys& keys, ModelConfig& config) {
  if (keys.flag("attention_bias")) set_biases({Projection::q, Projection::k, Projection::v, Projection::o}, config);
}

void read_mlp_bias(const ConfigKeys& keys, ModelConfig& config) {
  if (keys.flag("mlp_bias")) set_biases({Projection::gate, Projection::up, Projection::down}, config);
}

void read_special_tokens(const ConfigKeys& keys, const FamilyDefaults& defaults, ModelConfig& config) {
  const auto token = [&](const char* key, const Json& value) { return token_id(keys, key, value, config.vocab_size); };
  if (keys.present("bos_token_id")) {
    config.bos_token_id = token("bos_token_id", keys.at("bos_token_id"));
  } else if (!keys.has("bos_token_id")) {
    config.bos_token_id = defaults.bos_token_id.value_or(-1);
  }
  if (!keys.has("eos_token_id")) {
    if (defaults.eos_token_id) config.eos_token_ids = {*defaults.eos_token_id};
  } else if (keys.at("eos_token_id").is_array()) {
    for (const Json& id : keys.at("eos_token_id")) config.eos_token_ids.push_back(token("eos_token_id", id));
  } else if (keys.present("eos_token_id")) {
    config.eos_token_ids = {token("eos_token_id", keys.at("eos_token_id"))};
  }
}

}  // namespace allreco::model
