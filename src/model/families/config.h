// ModelConfig: the shape and constants of a decoder, as config.json of a Hugging Face directory gives them.
#pragma once
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "model/checkpoint/quantization.h"

namespace allreco::model {

/// RoPE scaling of Llama 3.1 (rope_type "llama3").
struct Llama3RopeScaling {
  double factor = 8;
  double low_freq_factor = 1;
  double high_freq_factor = 4;
  std::int64_t original_max_position_embeddings = 8192;
};

struct ModelConfig {
  std::string model_type = "llama";    // llama | mistral
  std::int64_t vocab_size = 0;         // V
  std::int64_t hidden_size = 0;        // D
  std::int64_t intermediate_size = 0;  // F
  std::int64_t num_hidden_layers = 0;
  std::int64_t num_attention_heads = 0;  // H
  std::int64_t num_key_value_heads = 0;  // K, divides H
  std::int64_t head_dim = 0;             // E
  std::int64_t max_position_embeddings = 2048;
  double rms_norm_eps = 1e-5;
  double rope_theta = 10000;
  std::optional<Llama3RopeScaling> rope_scaling;
  std::optional<std::int64_t> sliding_window;  // a query sees this many keys, its own with them; none: all before it
  bool tie_word_embeddings = false;
  std::int64_t bos_token_id = -1;  // -1: none
  std::vector<std::int64_t> eos_token_ids;
  at::ScalarType checkpoint_dtype = at::kFloat;  // what config.json says; the tensors decide
  std::optional<Quantization> quantization;      // of a checkpoint that holds NF4
};

/// Reads DIR/config.json in the style of transformers 4 (rope_theta, rope_scaling, torch_dtype) or 5 (rope_parameters,
/// dtype). UserError, naming key, value and file, for anything that this program would compute differently: another
/// model_type, attention_bias, mlp_bias, an activation other than silu, another rope_type, a quantization_config other
/// than bitsandbytes' NF4, sizes that do not fit one another.
ModelConfig read_model_config(const std::filesystem::path& file_or_directory);
/// The same from the parsed config.json; `where` names it in messages.
ModelConfig parse_model_config(const core::Json& json, const std::string& where);

/// The config of a published shape: `random:tinyllama-1.1b` and the like, without the prefix. UserError listing the
/// known names.
ModelConfig named_model_config(const std::string& name);

/// Everything in a config that decides what is computed, under Hugging Face's names: for fingerprints and `inspect`.
core::Json to_json(const ModelConfig& config);

/// Inverse frequencies, head_dim / 2 doubles, with llama3 scaling applied where configured.
std::vector<double> rope_inverse_frequencies(const ModelConfig& config);

}  // namespace allreco::model
