#include "model/families/config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "core/check.h"
#include "model/families/config_fields.h"
#include "model/families/families.h"

namespace allreco::model {
namespace fs = std::filesystem;
using core::Json;
using core::user_error;

namespace {

[[noreturn]] void refuse_model_type(const ConfigKeys& keys, const std::string& model_type) {
  if (model_type == "gemma3") {
    user_error(
        "{}: model_type = \"gemma3\" is the Gemma 3 that reads images, too; its language model alone is supported: "
        "save that as model_type gemma3_text (in Python: "
        "transformers.Gemma3ForCausalLM.from_pretrained(DIR).save_pretrained(NEW_DIR))",
        keys.file());
  }
  std::vector<std::string_view> known;
  for (const Family& family : kFamilies) known.push_back(family.model_type);
  user_error("{}: model_type = \"{}\" is not supported, expected one of {}", keys.file(), model_type,
             fmt::join(known, ", "));
}

const Family& family_of(const ConfigKeys& keys) {
  const std::string model_type = keys.text("model_type", "");
  for (const Family& family : kFamilies) {
    if (family.model_type == model_type) return family;
  }
  refuse_model_type(keys, model_type);
}

void read_dtype(const ConfigKeys& keys, ModelConfig& config) {
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
  read_special_tokens(ConfigKeys(json, file.string()), {}, generation);
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
  const ConfigKeys keys(json, where);
  const Family& family = family_of(keys);
  if (keys.present("attention_dropout") && keys.at("attention_dropout") != 0) {
    keys.refuse("attention_dropout", "expected 0; use lora_dropout");
  }
  ModelConfig config;
  config.model_type = family.model_type;
  family.read(keys, config);
  config.rms_norm_eps = keys.positive("rms_norm_eps", 1e-6);
  read_dtype(keys, config);
  if (keys.present("quantization_config")) {
    config.quantization = parse_quantization_config(keys.at("quantization_config"), where);
  }
  return config;
}

bool ModelConfig::has(Norm norm) const {
  return std::any_of(norms.begin(), norms.end(), [&](const NormName& name) { return name.norm == norm; });
}

double ModelConfig::attention_scale() const {
  return 1 / std::sqrt(query_pre_attn_scalar.value_or(static_cast<double>(head_dim)));
}

// Llama 3.1: wavelengths above original/low are divided by factor, those below original/high stay, those between are
// interpolated (transformers modeling_rope_utils.py, _compute_llama3_parameters).
std::vector<double> rope_inverse_frequencies(const Rope& rope, std::int64_t head_dim) {
  std::vector<double> frequencies;
  for (std::int64_t i = 0; i < head_dim / 2; ++i) {
    double frequency = std::pow(rope.theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
    if (const auto& scaling = rope.llama3) {
      const double turns =
          static_cast<double>(scaling->original_max_position_embeddings) * frequency / (2 * std::numbers::pi);
      const double smooth = (turns - scaling->low_freq_factor) / (scaling->high_freq_factor - scaling->low_freq_factor);
      const double kept = std::clamp(smooth, 0.0, 1.0);
      frequency *= kept + (1 - kept) / scaling->factor;
    }
    frequencies.push_back(frequency / rope.linear_factor);
  }
  return frequencies;
}

}  // namespace allreco::model
