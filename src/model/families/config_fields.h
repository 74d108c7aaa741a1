// The parts of config.json that several families share. Each reads its keys into `config`; the defaults are those of
// transformers for the family. UserError naming key, value and file for what would be computed differently.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/families/config.h"
#include "model/families/config_keys.h"

namespace allreco::model {

/// What the family's config class in transformers has where a key is absent.
struct FamilyDefaults {
  std::optional<std::int64_t> num_key_value_heads = {};  // none: as many as attention heads
  std::optional<std::int64_t> head_dim = {};             // none: hidden_size / num_attention_heads
  std::int64_t max_position_embeddings = 2048;
  double rope_theta = 10000;
  bool tie_word_embeddings = false;
  std::optional<std::int64_t> bos_token_id = {}, eos_token_id = {};
};

/// Sizes, tie_word_embeddings and special tokens. Null for num_key_value_heads: as many as attention heads.
void read_sizes(const ConfigKeys& keys, const FamilyDefaults& defaults, ModelConfig& config);

/// The key `name`: silu or gelu_pytorch_tanh.
void read_activation(const ConfigKeys& keys, const std::string& name, Activation fallback, ModelConfig& config);

/// One rope for all layers: rope_theta and rope_scaling (transformers 4), or rope_parameters (5), which loses against a
/// rope_scaling that says anything, as in transformers 5.
void read_rope(const ConfigKeys& keys, double default_theta, ModelConfig& config);
/// One object of rope_parameters, over what `rope` holds already.
void read_rope_parameters(const ConfigKeys& keys, std::int64_t max_position_embeddings, Rope& rope);

/// `layer_types`, per layer whether it slides; empty where the key is absent. UserError for other types.
std::vector<bool> sliding_layers(const ConfigKeys& keys, const ModelConfig& config);
/// `sliding_window`, with the rule of Qwen: use_sliding_window switches it on, layers from max_window_layers on have it
/// unless layer_types says which.
void read_optional_window(const ConfigKeys& keys, std::int64_t default_window, std::int64_t default_max_window_layers,
                          ModelConfig& config);

/// attention_bias: on q, k, v and o; mlp_bias: on gate, up and down.
void read_attention_bias(const ConfigKeys& keys, ModelConfig& config);
void read_mlp_bias(const ConfigKeys& keys, ModelConfig& config);
void set_biases(std::initializer_list<Projection> projections, ModelConfig& config);

/// Fills config.bos_token_id and eos_token_ids; with `defaults` where the keys are absent.
void read_special_tokens(const ConfigKeys& keys, const FamilyDefaults& defaults, ModelConfig& config);

}  // namespace allreco::model
