// ModelConfig: what a decoder computes, as config.json of a Hugging Face directory gives it. A family's file
// (llama.cpp, gemma3.cpp, ...) fills it; everything else reads it and asks for no family. Legend: D hidden, E head dim.
#pragma once
#include <c10/core/ScalarType.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "model/checkpoint/quantization.h"
#include "model/decoder/projection.h"
#include "model/ops/gated_activation.h"

namespace allreco::model {

using ops::Activation;

/// RoPE scaling of Llama 3.1 (rope_type "llama3").
struct Llama3RopeScaling {
  double factor = 8;
  double low_freq_factor = 1;
  double high_freq_factor = 4;
  std::int64_t original_max_position_embeddings = 8192;
};

/// The frequencies that turn queries and keys.
struct Rope {
  double theta = 10000;
  double linear_factor = 1;  // rope_type "linear": positions are divided by it
  std::optional<Llama3RopeScaling> llama3;
};

/// What the queries of one layer see, and how they are turned.
struct LayerAttention {
  std::optional<std::int64_t> window;  // so many keys, its own with them; none: all before it
  std::optional<size_t> rope = 0;      // which of the config's ropes; none: positions do not count
};

/// The norms that a layer may have, in the order of the computation. input and mlp stand before the two halves of a
/// layer, attention_output and mlp_output behind them, before the residual sum; q and k are of each head.
enum class Norm { input, q, k, attention_output, mlp, mlp_output };
inline constexpr size_t kNumNorms = 6;
constexpr size_t index_of(Norm norm) { return static_cast<size_t>(norm); }

/// A norm that a family has, by the name of its module in a layer.
struct NormName {
  Norm norm = Norm::input;
  std::string_view module;
  bool operator==(const NormName&) const = default;
};
inline constexpr NormName kInputNorm{Norm::input, "input_layernorm"};
inline constexpr NormName kQueryNorm{Norm::q, "self_attn.q_norm"}, kKeyNorm{Norm::k, "self_attn.k_norm"};
inline constexpr NormName kNormBeforeMlp{Norm::mlp, "post_attention_layernorm"};  // of all families but Gemma

struct ModelConfig {
  std::string model_type = "llama";
  std::int64_t vocab_size = 0;         // V
  std::int64_t hidden_size = 0;        // D
  std::int64_t intermediate_size = 0;  // F
  std::int64_t num_hidden_layers = 0;
  std::int64_t num_attention_heads = 0;  // H
  std::int64_t num_key_value_heads = 0;  // K, divides H
  std::int64_t head_dim = 0;             // E
  std::int64_t max_position_embeddings = 2048;

  double rms_norm_eps = 1e-5;
  std::vector<NormName> norms{kInputNorm, kNormBeforeMlp};  // input and mlp are always there
  bool norm_plus_one = false;                               // weights w of norms stand for 1 + w
  std::array<bool, kNumProjections> has_bias{};
  Activation activation = Activation::silu;
  double embedding_scale = 1;                   // rounded to the dtype that the embedding is held in
  std::optional<double> query_pre_attn_scalar;  // scores are divided by its root; none: head_dim
  std::vector<Rope> ropes{1};
  std::vector<LayerAttention> layers;             // one a layer
  std::optional<double> final_logit_softcapping;  // c: logits are c tanh(logits / c)
  bool tie_word_embeddings = false;

  std::int64_t bos_token_id = -1;  // -1: none
  std::vector<std::int64_t> eos_token_ids;
  at::ScalarType checkpoint_dtype = at::kFloat;  // what config.json says; the tensors decide
  std::optional<Quantization> quantization;      // of a checkpoint that holds NF4

  bool has(Norm norm) const;
  double attention_scale() const;
};

/// Reads DIR/config.json in the style of transformers 4 (rope_theta, rope_scaling, torch_dtype) or 5 (rope_parameters,
/// dtype). UserError, naming key, value and file, for anything that this program would compute differently: a
/// model_type that no family has, another activation or rope_type, a quantization_config other than bitsandbytes' NF4,
/// sizes that do not fit one another.
ModelConfig read_model_config(const std::filesystem::path& file_or_directory);
/// The same from the parsed config.json; `where` names it in messages.
ModelConfig parse_model_config(const core::Json& json, const std::string& where);

/// The config of a published shape: `random:tinyllama-1.1b` and the like, without the prefix. UserError listing the
/// known names.
ModelConfig named_model_config(const std::string& name);
std::vector<std::string> published_names();

/// Everything in a config that decides what is computed, under Hugging Face's names: for fingerprints and `inspect`.
core::Json to_json(const ModelConfig& config);

/// Inverse frequencies, head_dim / 2 doubles, scaled where configured.
std::vector<double> rope_inverse_frequencies(const Rope& rope, std::int64_t head_dim);

}  // namespace allreco::model
