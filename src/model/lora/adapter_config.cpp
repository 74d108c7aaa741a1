#include "model/lora/adapter_config.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "core/check.h"
#include "core/files.h"
#include "core/json.h"
#include "model/decoder/projection.h"

namespace allreco::model {
namespace fs = std::filesystem;
using core::Json;
using core::user_error;

namespace {

/// The keys of PEFT 0.21 that change nothing in what an adapter computes, or are read below.
const std::set<std::string>& harmless_keys() {
  static const std::set<std::string> kKeys{
      "alpha_pattern",
      "auto_mapping",
      "base_model_name_or_path",
      "ensure_weight_tying",
      "exclude_modules",
      "inference_mode",
      "init_lora_weights",
      "layers_pattern",
      "layers_to_transform",
      "loftq_config",
      "lora_alpha",
      "lora_dropout",
      "megatron_core",
      "peft_type",
      "peft_version",
      "qalora_group_size",
      "r",
      "rank_pattern",
      "revision",
      "runtime_config",
      "task_type",
      "target_modules",
      "use_dora",
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
        "{}: init_lora_weights = {} is not supported: it is not an adapter of the original base but of a changed one; "
        "convert it with PEFT (path_initial_model_for_weight_conversion)",
        file.string(), value.dump());
  }
}

bool flag(const Json& json, const char* key, const fs::path& file) {
  const Json value = json.value(key, Json(false));
  if (!value.is_boolean()) user_error("{}: {} = {}, expected true or false", file.string(), key, value.dump());
  return value.get<bool>();
}

/// How to start factors anew, as the file says; what only some other program can do is as good as PEFT's default here.
std::string initialization(const Json& value) {
  if (value.is_boolean()) return value.get<bool>() ? "true" : "false";
  return value == "gaussian" ? "gaussian" : "true";
}

/// The number, if it is whole and a double holds all its neighbours: beyond that the cast would be undefined.
std::optional<std::int64_t> as_whole(double number) {
  constexpr double kExact = 9007199254740992;  // 2^53
  if (!(std::abs(number) <= kExact) || std::trunc(number) != number) return std::nullopt;
  return static_cast<std::int64_t>(number);
}

std::int64_t whole_number(const Json& value, const std::string& key, const fs::path& file) {
  const auto whole = value.is_number() ? as_whole(value.get<double>()) : std::nullopt;
  if (!whole) user_error("{}: {} = {}, expected a whole number", file.string(), key, value.dump());
  return *whole;
}

/// A dict of numbers; null and {}: none.
template <class Value, class Read>
LoraPattern<Value> read_pattern(const Json& json, const char* key, const fs::path& file, const Read& read) {
  LoraPattern<Value> pattern;
  const Json dict = json.value(key, Json());
  if (dict.is_null()) return pattern;
  if (!dict.is_object()) user_error("{}: {} = {}, expected an object", file.string(), key, dict.dump());
  for (const auto& [name, value] : dict.items()) {
    if (!value.is_number()) user_error("{}: {}: {} = {}, expected a number", file.string(), key, name, value.dump());
    pattern.emplace_back(name, read(value, fmt::format("{}: {}", key, name)));
  }
  return pattern;
}

/// A list, or one value that stands for a list of one; null: none.
std::vector<Json> read_list(const Json& json, const char* key) {
  const Json value = json.value(key, Json());
  if (value.is_null()) return {};
  if (!value.is_array()) return {value};
  return {value.begin(), value.end()};
}

std::string text(const Json& value, const char* key, const fs::path& file) {
  if (!value.is_string()) user_error("{}: {}: {}, expected a string", file.string(), key, value.dump());
  return value.get<std::string>();
}

/// A string is a regular expression to PEFT, a list has names: both must still be that to as_regex.
std::vector<std::string> read_modules(const Json& json, const char* key, const fs::path& file) {
  const Json value = json.value(key, Json());
  std::vector<std::string> modules;
  for (const Json& name : read_list(json, key)) modules.push_back(text(name, key, file));
  if (value == "all-linear" || modules.empty()) return modules;
  const bool is_regex = as_regex(modules).has_value();
  if (value.is_string() && !is_regex && !modules[0].starts_with("model.layers.")) {
    user_error("{}: {} = {} matches no module as a regular expression; names are given as a list", file.string(), key,
               value.dump());
  }
  if (value.is_array() && is_regex) {
    user_error("{}: {} = {}: a regular expression in a list is not supported, as PEFT takes it for a name",
               file.string(), key, value.dump());
  }
  return modules;
}

double number(const Json& json, const char* key, double fallback, const fs::path& file) {
  if (!json.contains(key)) return fallback;
  if (!json[key].is_number()) user_error("{}: {} = {}, expected a number", file.string(), key, json[key].dump());
  return json[key].get<double>();
}

/// Whole numbers as such, as PEFT does: 16, not 16.0.
Json compact_number(double value) {
  const auto whole = as_whole(value);
  return whole ? Json(*whole) : Json(value);
}

template <class T>
Json list_or_null(const std::vector<T>& values) {
  return values.empty() ? Json() : Json(values);
}

/// PEFT: a list, or a string for a regular expression.
Json modules_json(std::vector<std::string> modules) {
  if (modules == std::vector<std::string>{"all-linear"}) {
    modules.clear();
    for (const Projection p : kProjections) modules.emplace_back(name_of(p));
  }
  if (const auto regex = as_regex(modules)) return *regex;
  return list_or_null(std::vector<std::string>(modules));
}

Json sorted(Json list) {
  if (list.is_array()) std::sort(list.begin(), list.end());
  return list;
}

/// PEFT's defaults for what this program does not use.
void add_unused_keys(nlohmann::json& json) {
  json["bias"] = "none";
  json["loftq_config"] = nlohmann::json::object();
  json["megatron_core"] = "megatron.core";
  json["qalora_group_size"] = 16;
  for (const char* key : {"ensure_weight_tying", "fan_in_fan_out", "lora_bias", "use_qalora"}) json[key] = false;
  for (const char* key :
       {"alora_invocation_tokens", "arrow_config", "auto_mapping", "corda_config", "eva_config", "kasa_config",
        "layer_replication", "lora_ga_config", "megatron_config", "modules_to_save", "monteclora_config", "revision",
        "target_parameters", "trainable_token_indices", "use_bdlora", "velora_config"}) {
    json[key] = nullptr;
  }
}

}  // namespace

std::string adapter_config_text(const AdapterConfig& config) {
  const LoraConfig& lora = config.lora;
  nlohmann::json json;  // its keys are sorted, as PEFT's
  add_unused_keys(json);
  json["base_model_name_or_path"] = config.base_model_name_or_path;
  json["inference_mode"] = true;
  json["peft_type"] = "LORA";
  json["peft_version"] = "0.21.2";
  json["task_type"] = "CAUSAL_LM";
  json["r"] = lora.r;
  json["lora_alpha"] = compact_number(lora.lora_alpha);
  json["lora_dropout"] = lora.lora_dropout;
  json["use_rslora"] = lora.use_rslora;
  json["use_dora"] = lora.use_dora;
  json["target_modules"] = sorted(modules_json(lora.target_modules));
  json["exclude_modules"] = sorted(modules_json(lora.exclude_modules));
  json["layers_to_transform"] = list_or_null(lora.layers_to_transform);
  json["layers_pattern"] = list_or_null(lora.layers_pattern);
  json["init_lora_weights"] =
      lora.init_lora_weights == "gaussian" ? Json("gaussian") : Json(lora.init_lora_weights == "true");
  json["rank_pattern"] = json["alpha_pattern"] = nlohmann::json::object();
  for (const auto& [key, rank] : lora.rank_pattern) json["rank_pattern"][key] = rank;
  for (const auto& [key, alpha] : lora.alpha_pattern) json["alpha_pattern"][key] = compact_number(alpha);
  return json.dump(2);  // PEFT writes no final newline
}

AdapterConfig read_adapter_config(const fs::path& directory) {
  const fs::path file = directory / kAdapterConfigFile;
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
  LoraConfig& lora = config.lora;  // the fallbacks are PEFT's
  lora.r = whole_number(json.value("r", Json(8)), "r", file);
  lora.lora_alpha = number(json, "lora_alpha", 8, file);
  lora.lora_dropout = number(json, "lora_dropout", 0, file);
  lora.use_rslora = flag(json, "use_rslora", file);
  lora.use_dora = flag(json, "use_dora", file);
  lora.init_lora_weights = initialization(json.value("init_lora_weights", Json(true)));
  lora.target_modules = read_modules(json, "target_modules", file);
  lora.exclude_modules = read_modules(json, "exclude_modules", file);
  lora.rank_pattern = read_pattern<std::int64_t>(
      json, "rank_pattern", file, [&](const Json& v, const std::string& key) { return whole_number(v, key, file); });
  lora.alpha_pattern = read_pattern<double>(json, "alpha_pattern", file,
                                            [](const Json& v, const std::string&) { return v.get<double>(); });
  for (const Json& layer : read_list(json, "layers_to_transform"))
    lora.layers_to_transform.push_back(whole_number(layer, "layers_to_transform", file));
  for (const Json& pattern : read_list(json, "layers_pattern"))
    lora.layers_pattern.push_back(text(pattern, "layers_pattern", file));
  const Json base_name = json.value("base_model_name_or_path", Json());
  if (base_name.is_string()) config.base_model_name_or_path = base_name.get<std::string>();
  try {
    validate(config.lora);
  } catch (const core::UserError& e) {
    user_error("{}: {}", file.string(), e.what());
  }
  return config;
}

}  // namespace allreco::model
