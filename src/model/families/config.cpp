#include "model/families/config.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "core/check.h"

namespace allreco::model {
namespace fs = std::filesystem;
using core::Json;
using core::user_error;

namespace {

// Far above any published model, and small enough that no number of parameters overflows and no list of layers fills
// the memory before config.json is compared with the tensors.
constexpr std::int64_t kLargestSize = 1 << 24, kLargestWidth = 1 << 20, kMostLayers = 4096, kMostPositions = 1 << 30;

/// Typed access to one JSON object, with messages that name key, value and file.
class Keys {
 public:
  Keys(const Json& object, std::string file, std::string prefix = "")
      : object_(object), file_(std::move(file)), prefix_(std::move(prefix)) {
    if (!object_.is_object())
      user_error("{}: expected a JSON object at {}", file_, prefix_.empty() ? "the top" : prefix_);
  }

  bool has(const std::string& key) const { return object_.contains(key); }
  bool present(const std::string& key) const { return has(key) && !object_[key].is_null(); }
  const Json& at(const std::string& key) const { return object_[key]; }
  Keys child(const std::string& key) const { return {object_[key], file_, prefix_ + key + "."}; }

  std::int64_t size(const std::string& key, std::int64_t largest = kLargestSize) const {
    if (!present(key)) user_error("{}: {}{} is missing", file_, prefix_, key);
    const Json& value = object_[key];
    if (!value.is_number_integer() || value.get<double>() < 1 || value.get<double>() > static_cast<double>(largest)) {
      refuse(key, fmt::format("expected a whole number from 1 to {}", largest));
    }
    return value.get<std::int64_t>();
  }
  std::int64_t size_or(const std::string& key, std::int64_t fallback, std::int64_t largest = kLargestSize) const {
    return present(key) ? size(key, largest) : fallback;
  }

  double positive(const std::string& key) const {
    if (!present(key)) user_error("{}: {}{} is missing", file_, prefix_, key);
    const Json& value = object_[key];
    if (!value.is_number() || !(value.get<double>() > 0)) refuse(key, "expected a number above 0");
    return value.get<double>();
  }
  double positive(const std::string& key, double fallback) const { return present(key) ? positive(key) : fallback; }

  bool flag(const std::string& key) const {
    if (!present(key)) return false;
    if (!object_[key].is_boolean()) refuse(key, "expected true or false");
    return object_[key].get<bool>();
  }

  std::string text(const std::string& key, const std::string& fallback) const {
    if (!present(key)) return fallback;
    if (!object_[key].is_string()) refuse(key, "expected a text");
    return object_[key].get<std::string>();
  }

  [[noreturn]] void refuse(const std::string& key, const std::string& why) const {
    user_error("{}: {}{} = {} is not supported: {}", file_, prefix_, key, object_[key].dump(), why);
  }
  const std::string& file() const { return file_; }

 private:
  const Json& object_;
  std::string file_, prefix_;
};

/// What transformers would compute and this program would not.
void refuse_unsupported(const Keys& keys) {
  const std::string model_type = keys.text("model_type", "");
  if (model_type != "llama" && model_type != "mistral") {
    user_error("{}: model_type = \"{}\" is not supported, expected llama or mistral", keys.file(), model_type);
  }
  for (const char* key : {"attention_bias", "mlp_bias", "rope_interleaved"}) {
    if (keys.flag(key)) keys.refuse(key, "expected false");
  }
  if (keys.text("hidden_act", "silu") != "silu") keys.refuse("hidden_act", "expected silu");
  if (keys.present("attention_dropout") && keys.at("attention_dropout") != 0) {
    keys.refuse("attention_dropout", "expected 0; use lora_dropout");
  }
}

void read_sizes(const Keys& keys, ModelConfig& config) {
  const bool mistral = config.model_type == "mistral";
  config.vocab_size = keys.size("vocab_size");
  config.hidden_size = keys.size("hidden_size", kLargestWidth);
  config.intermediate_size = keys.size("intermediate_size", kLargestWidth);
  config.num_hidden_layers = keys.size("num_hidden_layers", kMostLayers);
  config.num_attention_heads = keys.size("num_attention_heads", kLargestWidth);
  // transformers: MistralConfig has 8 when the key is absent, and null means as many as attention heads for both.
  const bool mistral_default = mistral && !keys.has("num_key_value_heads");
  config.num_key_value_heads = keys.size_or("num_key_value_heads", mistral_default ? 8 : config.num_attention_heads);
  if (!keys.present("head_dim") && config.hidden_size % config.num_attention_heads != 0) {
    keys.refuse("hidden_size", fmt::format("it is no multiple of num_attention_heads = {} and there is no head_dim",
                                           config.num_attention_heads));
  }
  config.head_dim = keys.size_or("head_dim", config.hidden_size / config.num_attention_heads);
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
  config.max_position_embeddings = keys.size_or("max_position_embeddings", mistral ? 131072 : 2048, kMostPositions);
}

/// transformers: Mistral without the key has a window of 4096, with null none; Llama never has one, whatever the file
/// says.
void read_sliding_window(const Keys& keys, ModelConfig& config) {
  if (config.model_type != "mistral") return;
  if (!keys.has("sliding_window")) {
    config.sliding_window = 4096;
  } else if (keys.present("sliding_window")) {
    config.sliding_window = keys.size("sliding_window", kMostPositions);
  }
  if (!keys.present("layer_types")) return;
  const std::string expected = config.sliding_window ? "sliding_attention" : "full_attention";
  for (const Json& type : keys.at("layer_types")) {
    if (type != expected) keys.refuse("layer_types", fmt::format("every layer must be {}", expected));
  }
}

void read_rope_parameters(const Keys& rope, ModelConfig& config) {
  const std::string type_key = rope.present("rope_type") ? "rope_type" : "type";
  const std::string type = rope.text(type_key, "default");
  config.rope_theta = rope.positive("rope_theta", config.rope_theta);
  if (rope.present("partial_rotary_factor") && rope.at("partial_rotary_factor") != 1) {
    rope.refuse("partial_rotary_factor", "expected 1");
  }
  if (type == "default") return;
  if (type != "llama3") rope.refuse(type_key, "expected default or llama3");
  Llama3RopeScaling scaling;
  scaling.factor = rope.positive("factor");
  scaling.low_freq_factor = rope.positive("low_freq_factor");
  scaling.high_freq_factor = rope.positive("high_freq_factor");
  scaling.original_max_position_embeddings =
      rope.size_or("original_max_position_embeddings", config.max_position_embeddings, kMostPositions);
  if (scaling.high_freq_factor <= scaling.low_freq_factor) {
    rope.refuse("high_freq_factor", "expected more than low_freq_factor");
  }
  config.rope_scaling = scaling;
}

/// rope_scaling (transformers 4) wins over rope_parameters (5) when it says anything, as in transformers 5.
void read_rope(const Keys& keys, ModelConfig& config) {
  config.rope_theta = keys.positive("rope_theta", 10000);
  if (keys.present("partial_rotary_factor") && keys.at("partial_rotary_factor") != 1) {
    keys.refuse("partial_rotary_factor", "expected 1");
  }
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!keys.present(key) || keys.at(key).empty()) continue;
    for (const auto& [name, value] : keys.at(key).items()) {
      if (value.is_object()) keys.refuse(key, "expected one setting for all layers");
    }
    read_rope_parameters(keys.child(key), config);
    return;
  }
}

void read_special_tokens(const Keys& keys, ModelConfig& config) {
  const auto token = [&](const char* key, const Json& value) {
    if (!value.is_number_integer() || value.get<double>() < 0 ||
        value.get<double>() >= static_cast<double>(config.vocab_size)) {
      keys.refuse(key, fmt::format("expected token ids below vocab_size = {}", config.vocab_size));
    }
    return value.get<std::int64_t>();
  };
  if (keys.present("bos_token_id")) {
    config.bos_token_id = token("bos_token_id", keys.at("bos_token_id"));
  } else if (!keys.has("bos_token_id")) {
    config.bos_token_id = 1;
  }
  if (!keys.has("eos_token_id")) {
    config.eos_token_ids = {2};
  } else if (keys.at("eos_token_id").is_array()) {
    for (const Json& id : keys.at("eos_token_id")) config.eos_token_ids.push_back(token("eos_token_id", id));
  } else if (keys.present("eos_token_id")) {
    config.eos_token_ids = {token("eos_token_id", keys.at("eos_token_id"))};
  }
}

void read_dtype(const Keys& keys, ModelConfig& config) {
  const std::string key = keys.present("dtype") ? "dtype" : "torch_dtype";
  static const std::map<std::string, at::ScalarType> kDtypes{
      {"float32", at::kFloat}, {"bfloat16", at::kBFloat16}, {"float16", at::kHalf}, {"float64", at::kDouble}};
  const auto dtype = kDtypes.find(keys.text(key, "float32"));
  if (dtype == kDtypes.end()) keys.refuse(key, "expected float32, bfloat16, float16 or float64");
  config.checkpoint_dtype = dtype->second;
}

/// A chat model's end of turn is often among generation_config.json's ends only.
void add_generation_ends(const fs::path& file, ModelConfig& config) {
  if (!fs::exists(file)) return;
  const Json json = core::read_json_file(file);
  if (!json.is_object() || !json.contains("eos_token_id")) return;
  ModelConfig generation;
  generation.vocab_size = config.vocab_size;
  read_special_tokens(Keys(json, file.string()), generation);
  for (const std::int64_t id : generation.eos_token_ids) {
    if (std::find(config.eos_token_ids.begin(), config.eos_token_ids.end(), id) == config.eos_token_ids.end())
      config.eos_token_ids.push_back(id);
  }
}

}  // namespace

ModelConfig read_model_config(const fs::path& file_or_directory) {
  const fs::path file = fs::is_directory(file_or_directory) ? file_or_directory / "config.json" : file_or_directory;
  ModelConfig config = parse_model_config(core::read_json_file(file), file.string());
  add_generation_ends(file.parent_path() / "generation_config.json", config);
  return config;
}

ModelConfig parse_model_config(const Json& json, const std::string& where) {
  const Keys keys(json, where);
  refuse_unsupported(keys);
  ModelConfig config;
  config.model_type = keys.text("model_type", "");
  read_sizes(keys, config);
  read_sliding_window(keys, config);
  read_rope(keys, config);
  config.rms_norm_eps = keys.positive("rms_norm_eps", 1e-6);
  config.tie_word_embeddings = keys.flag("tie_word_embeddings");
  read_special_tokens(keys, config);
  read_dtype(keys, config);
  if (keys.present("quantization_config")) {
    config.quantization = parse_quantization_config(keys.at("quantization_config"), where);
  }
  return config;
}

Json to_json(const ModelConfig& config) {
  Json json{{"model_type", config.model_type},
            {"vocab_size", config.vocab_size},
            {"hidden_size", config.hidden_size},
            {"intermediate_size", config.intermediate_size},
            {"num_hidden_layers", config.num_hidden_layers},
            {"num_attention_heads", config.num_attention_heads},
            {"num_key_value_heads", config.num_key_value_heads},
            {"head_dim", config.head_dim},
            {"rms_norm_eps", config.rms_norm_eps},
            {"rope_theta", config.rope_theta},
            {"rope_scaling", nullptr},
            {"sliding_window", nullptr},
            {"tie_word_embeddings", config.tie_word_embeddings}};
  if (const auto& rope = config.rope_scaling) {
    json["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", rope->factor},
                            {"low_freq_factor", rope->low_freq_factor},
                            {"high_freq_factor", rope->high_freq_factor},
                            {"original_max_position_embeddings", rope->original_max_position_embeddings}};
  }
  if (config.sliding_window) json["sliding_window"] = *config.sliding_window;
  return json;
}

// Llama 3.1: wavelengths above original/low are divided by factor, those below original/high stay, those between are
// interpolated (transformers modeling_rope_utils.py, _compute_llama3_parameters).
std::vector<double> rope_inverse_frequencies(const ModelConfig& config) {
  std::vector<double> frequencies;
  for (std::int64_t i = 0; i < config.head_dim / 2; ++i) {
    double frequency =
        std::pow(config.rope_theta, -2.0 * static_cast<double>(i) / static_cast<double>(config.head_dim));
    if (const auto& rope = config.rope_scaling) {
      const double turns =
          static_cast<double>(rope->original_max_position_embeddings) * frequency / (2 * std::numbers::pi);
      const double smooth = (turns - rope->low_freq_factor) / (rope->high_freq_factor - rope->low_freq_factor);
      const double kept = std::clamp(smooth, 0.0, 1.0);
      frequency *= kept + (1 - kept) / rope->factor;
    }
    frequencies.push_back(frequency);
  }
  return frequencies;
}

}  // namespace allreco::model
