#include "model/adapter.h"

#include <ATen/core/grad_mode.h>
#include <fmt/ranges.h>

#include <set>

#include "core/check.h"
#include "core/files.h"
#include "core/json.h"
#include "model/adapter_targets.h"
#include "model/safetensors.h"

namespace allreco::model {
namespace fs = std::filesystem;
using core::Json;
using core::user_error;

namespace {

constexpr const char* kConfigName = "adapter_config.json";
constexpr const char* kWeightsName = "adapter_model.safetensors";

/// The keys of PEFT 0.21 that change nothing in what an adapter computes, or are read below.
const std::set<std::string>& harmless_keys() {
  static const std::set<std::string> kKeys{
      "auto_mapping",
      "base_model_name_or_path",
      "ensure_weight_tying",
      "inference_mode",
      "init_lora_weights",
      "loftq_config",
      "lora_alpha",
      "lora_dropout",
      "megatron_core",
      "peft_type",
      "peft_version",
      "qalora_group_size",
      "r",
      "revision",
      "runtime_config",
      "task_type",
      "target_modules",
      "use_rslora",
  };
  return kKeys;
}

/// null, false, {}, [] and bias "none": what PEFT writes for a feature that is not used.
bool is_off(const std::string& key, const Json& value) {
  if (key == "bias") return value == "none";
  return value.is_null() || value == false || (value.is_structured() && value.empty());
}

/// Reading weights does not depend on how they were started, except where the start changed the base model.
void check_initialization(const Json& value, const fs::path& file) {
  const bool leaves_base_alone =
      value.is_boolean() || value.is_null() || value == "gaussian" || value == "orthogonal" || value == "eva";
  if (!leaves_base_alone) {
    user_error(
        "{}: init_lora_weights = {} is not supported: it changes the base model; convert the adapter with PEFT "
        "(path_initial_model_for_weight_conversion)",
        file.string(), value.dump());
  }
}

double number(const Json& json, const char* key, double fallback, const fs::path& file) {
  if (!json.contains(key)) return fallback;
  if (!json[key].is_number()) user_error("{}: {} = {}, expected a number", file.string(), key, json[key].dump());
  return json[key].get<double>();
}

/// Whole numbers as such, as PEFT does: 16, not 16.0.
Json compact_number(double value) {
  const auto whole = static_cast<std::int64_t>(value);
  return static_cast<double>(whole) == value ? Json(whole) : Json(value);
}

/// The keys that PEFT 0.21.2 writes, in its order (sorted).
Json to_peft_json(const LoraConfig& config, const std::string& base_model_name_or_path) {
  std::set<std::string> targets;
  for (const Projection p : config.targets()) targets.emplace(name_of(p));
  nlohmann::json json{
      {"base_model_name_or_path", base_model_name_or_path},
      {"bias", "none"},
      {"inference_mode", true},
      {"init_lora_weights", true},
      {"lora_alpha", compact_number(config.lora_alpha)},
      {"lora_dropout", config.lora_dropout},
      {"megatron_core", "megatron.core"},
      {"peft_type", "LORA"},
      {"peft_version", "0.21.2"},
      {"qalora_group_size", 16},
      {"r", config.r},
      {"target_modules", targets},
      {"task_type", "CAUSAL_LM"},
      {"use_rslora", config.use_rslora},
  };
  for (const char* key : {"alpha_pattern", "loftq_config", "rank_pattern"}) json[key] = nlohmann::json::object();
  for (const char* key : {"ensure_weight_tying", "fan_in_fan_out", "lora_bias", "use_dora", "use_qalora"})
    json[key] = false;
  for (const char* key :
       {"alora_invocation_tokens", "arrow_config", "auto_mapping", "corda_config", "eva_config", "exclude_modules",
        "kasa_config", "layer_replication", "layers_pattern", "layers_to_transform", "lora_ga_config",
        "megatron_config", "modules_to_save", "monteclora_config", "revision", "target_parameters",
        "trainable_token_indices", "use_bdlora", "velora_config"}) {
    json[key] = nullptr;
  }
  return json;
}

}  // namespace

AdapterConfig read_adapter_config(const fs::path& directory) {
  const fs::path file = directory / kConfigName;
  const Json json = core::read_json_file(file);
  if (!json.is_object() || json.value("peft_type", Json()) != "LORA") {
    user_error("{}: expected a PEFT adapter with peft_type = \"LORA\"", file.string());
  }
  for (const auto& [key, value] : json.items()) {
    if (!harmless_keys().contains(key) && !is_off(key, value)) {
      user_error("{}: {} = {} is not supported", file.string(), key, value.dump());
    }
  }
  if (json.contains("init_lora_weights")) check_initialization(json["init_lora_weights"], file);
  AdapterConfig config;
  const double r = number(json, "r", 8, file);  // the fallbacks are PEFT's
  config.lora.r = static_cast<std::int64_t>(r);
  if (static_cast<double>(config.lora.r) != r) user_error("{}: r = {}, expected a whole number", file.string(), r);
  config.lora.lora_alpha = number(json, "lora_alpha", 8, file);
  config.lora.lora_dropout = number(json, "lora_dropout", 0, file);
  config.lora.use_rslora = json.value("use_rslora", Json(false)) == true;
  config.lora.target_modules = read_target_modules(json.value("target_modules", Json()), file.string());
  const Json base_name = json.value("base_model_name_or_path", Json());
  if (base_name.is_string()) config.base_model_name_or_path = base_name.get<std::string>();
  try {
    validate(config.lora);
  } catch (const core::UserError& e) {
    user_error("{}: {}", file.string(), e.what());
  }
  return config;
}

void load_adapter(const fs::path& directory, LoraStore& store) {
  const SafetensorsFile file(directory / kWeightsName);
  std::set<std::string> known;
  for (const LoraEntry& entry : store.entries()) {  // all is checked before anything changes
    known.insert(entry.name);
    if (!file.contains(entry.name)) user_error("{} lacks {}", file.path().string(), entry.name);
    const at::Tensor tensor = file.tensor(entry.name);
    if (tensor.sizes() != at::IntArrayRef(entry.shape) || !tensor.is_floating_point()) {
      user_error("{}: {} is {} [{}], expected floating-point values [{}]", file.path().string(), entry.name,
                 c10::toString(tensor.scalar_type()), fmt::join(tensor.sizes(), ", "), fmt::join(entry.shape, ", "));
    }
  }
  for (const std::string& name : file.names()) {
    if (!known.contains(name)) user_error("{}: unexpected tensor {}", file.path().string(), name);
  }
  const at::NoGradGuard no_grad;
  for (const LoraEntry& entry : store.entries()) {
    LoraStore::view_of(store.parameters(), entry).copy_(file.tensor(entry.name));
  }
  store.refresh_compute_copy();
}

void save_adapter(const fs::path& directory, const LoraStore& store, const std::string& base_model_name_or_path) {
  save_adapter(directory, store, store.parameters(), base_model_name_or_path);
}

void save_adapter(const fs::path& directory, const LoraStore& store, const at::Tensor& parameters,
                  const std::string& base_model_name_or_path) {
  core::make_directory(directory);
  std::vector<NamedTensor> tensors;
  for (const LoraEntry& entry : store.entries()) {
    tensors.push_back({entry.name, LoraStore::view_of(parameters, entry).to(at::kCPU, at::kFloat).contiguous()});
  }
  write_safetensors(directory / kWeightsName, std::move(tensors));
  // PEFT writes no final newline.
  core::write_file_atomically(directory / kConfigName, to_peft_json(store.config(), base_model_name_or_path).dump(2));
}

}  // namespace allreco::model
