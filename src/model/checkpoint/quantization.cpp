#include "model/checkpoint/quantization.h"

#include <fmt/core.h>

#include <algorithm>

#include "core/check.h"
#include "model/lora/python_regex.h"

namespace allreco::model {
using core::Json;
using core::user_error;

namespace {

[[noreturn]] void refuse(const std::string& where, const std::string& key, const Json& value, const char* expected) {
  user_error(
      "{}: quantization_config: {} = {} is not supported, expected {}; give the checkpoint in NF4 of bitsandbytes, "
      "or dense and let load_in_4bit quantise it",
      where, key, value.dump(), expected);
}

bool flag(const Json& json, const char* key, const std::string& where) {
  const Json value = json.value(key, Json(false));
  if (!value.is_boolean()) refuse(where, key, value, "true or false");
  return value.get<bool>();
}

std::string text(const Json& json, const char* key, const char* fallback, const std::string& where) {
  const Json value = json.value(key, Json(fallback));
  if (!value.is_string()) refuse(where, key, value, "a text");
  return value.get<std::string>();
}

std::vector<std::string> skip_modules_of(const Json& json, const std::string& where) {
  const Json list = json.value("llm_int8_skip_modules", Json());
  std::vector<std::string> modules;
  if (list.is_null()) return modules;
  if (!list.is_array()) refuse(where, "llm_int8_skip_modules", list, "a list of names");
  for (const Json& module : list) {
    if (!module.is_string()) refuse(where, "llm_int8_skip_modules", list, "a list of names");
    modules.push_back(module.get<std::string>());
  }
  return modules;
}

/// Just behind a dot, before one, or at the end.
bool is_boundary(const std::string& module, size_t place) {
  return place == module.size() || module[place] == '.' || module[place - 1] == '.';
}

bool matches_prefix(const PythonRegex& pattern, const std::string& module) {
  for (size_t end = 1; end <= module.size(); ++end) {
    if (is_boundary(module, end) && pattern.fullmatch(module.substr(0, end))) return true;
  }
  return false;
}

}  // namespace

void validate(const Quantization& quantization) {
  Quantization copy = quantization;
  core::check_options({copy.options()});
  is_skipped("", quantization.llm_int8_skip_modules);
}

Quantization parse_quantization_config(const Json& json, const std::string& where) {
  if (!json.is_object()) user_error("{}: quantization_config = {}, expected an object", where, json.dump());
  if (const std::string method = text(json, "quant_method", "bitsandbytes", where); method != "bitsandbytes")
    refuse(where, "quant_method", method, "\"bitsandbytes\"");
  for (const char* key : {"load_in_8bit", "_load_in_8bit"}) {
    if (flag(json, key, where)) refuse(where, key, true, "false");
  }
  Quantization found;
  found.load_in_4bit = flag(json, "load_in_4bit", where) || flag(json, "_load_in_4bit", where);
  if (!found.load_in_4bit) refuse(where, "load_in_4bit", false, "true");
  found.bnb_4bit_quant_type = text(json, "bnb_4bit_quant_type", "fp4", where);  // transformers' default
  if (found.bnb_4bit_quant_type != "nf4") refuse(where, "bnb_4bit_quant_type", found.bnb_4bit_quant_type, "\"nf4\"");
  const std::string storage = text(json, "bnb_4bit_quant_storage", "uint8", where);
  if (storage != "uint8") refuse(where, "bnb_4bit_quant_storage", storage, "\"uint8\"");
  found.bnb_4bit_use_double_quant = flag(json, "bnb_4bit_use_double_quant", where);
  found.bnb_4bit_compute_dtype = text(json, "bnb_4bit_compute_dtype", "float32", where);
  if (found.bnb_4bit_compute_dtype != "float32" && found.bnb_4bit_compute_dtype != "bfloat16")
    found.bnb_4bit_compute_dtype =
        "auto";  // float16: made for GPUs of before 2020, and not what this program computes in
  found.llm_int8_skip_modules = skip_modules_of(json, where);
  return found;
}

Json to_quantization_config(const Quantization& quantization) {
  Json skip = nullptr;
  if (!quantization.llm_int8_skip_modules.empty()) skip = quantization.llm_int8_skip_modules;
  const std::string& compute = quantization.bnb_4bit_compute_dtype;
  return {{"_load_in_4bit", true},
          {"_load_in_8bit", false},
          {"bnb_4bit_compute_dtype", compute == "auto" ? "float32" : compute},
          {"bnb_4bit_quant_storage", "uint8"},
          {"bnb_4bit_quant_type", quantization.bnb_4bit_quant_type},
          {"bnb_4bit_use_double_quant", quantization.bnb_4bit_use_double_quant},
          {"llm_int8_enable_fp32_cpu_offload", false},
          {"llm_int8_has_fp16_weight", false},
          {"llm_int8_skip_modules", skip},
          {"llm_int8_threshold", 6.0},
          {"load_in_4bit", true},
          {"load_in_8bit", false},
          {"quant_method", "bitsandbytes"}};
}

bool is_skipped(const std::string& module, const std::vector<std::string>& skip_modules) {
  return std::any_of(skip_modules.begin(), skip_modules.end(), [&](const std::string& pattern) {
    const PythonRegex regex("llm_int8_skip_modules", pattern);  // refuses even where the suffix is the same
    return module.ends_with(pattern) || matches_prefix(regex, module);
  });
}

}  // namespace allreco::model
