#include "model/lora_config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "core/check.h"
#include "model/adapter_targets.h"
#include "model/python_regex.h"

namespace allreco::model {
using core::user_error;

namespace {

constexpr std::array<std::string_view, 3> kInitializations{"true", "false", "gaussian"};

void check_numbers(const LoraConfig& config) {
  if (config.r < 1) user_error("lora_r = {} is out of range, expected at least 1", config.r);
  if (!(config.lora_alpha > 0) || !std::isfinite(config.lora_alpha)) {
    user_error("lora_alpha = {} is out of range, expected a number above 0", config.lora_alpha);
  }
  if (!(config.lora_dropout >= 0 && config.lora_dropout < 1)) {
    user_error("lora_dropout = {} is out of range, expected 0 <= lora_dropout < 1", config.lora_dropout);
  }
  for (const std::int64_t layer : config.layers_to_transform) {
    if (layer < 0) user_error("layers_to_transform: {} is out of range, expected at least 0", layer);
  }
}

void check_patterns(const LoraConfig& config) {
  for (const auto& [key, rank] : config.rank_pattern) {
    check_module_pattern("rank_pattern", key);
    if (rank < 1) user_error("rank_pattern: {} = {} is out of range, expected at least 1", key, rank);
  }
  for (const auto& [key, alpha] : config.alpha_pattern) {
    check_module_pattern("alpha_pattern", key);
    if (!(alpha > 0) || !std::isfinite(alpha)) {
      user_error("alpha_pattern: {} = {} is out of range, expected a number above 0", key, alpha);
    }
  }
}

void check_modules(const LoraConfig& config) {
  if (config.target_modules.empty()) {
    user_error("target_modules is empty, expected all-linear, names like q_proj, or a regular expression");
  }
  if (const auto regex = as_regex(config.exclude_modules)) PythonRegex("exclude_modules", *regex);
  if (!config.layers_pattern.empty() && config.layers_to_transform.empty()) {
    user_error("layers_pattern goes with layers_to_transform, which is not given");
  }
  for (const std::string& pattern : config.layers_pattern) PythonRegex("layers_pattern", pattern);
  if (const auto regex = as_regex(config.target_modules)) {
    PythonRegex("target_modules", *regex);
    if (config.layers_to_transform.empty()) return;
    user_error(
        "layers_to_transform cannot be used with target_modules = {}, a regular expression: name the layers in it",
        *regex);
  }
  if (config.target_modules == std::vector<std::string>{"all-linear"}) return;
  for (const std::string& name : config.target_modules) check_target_name(name);
}

}  // namespace

double LoraConfig::scaling(std::int64_t rank, double alpha) const {
  const auto size = static_cast<double>(rank);
  return alpha / (use_rslora ? std::sqrt(size) : size);
}

std::optional<std::string> as_regex(const std::vector<std::string>& modules) {
  const std::string joined = fmt::format("{}", fmt::join(modules, ","));
  if (joined.find_first_of("\\*+?()[]{}|^$") == std::string::npos) return std::nullopt;
  return joined;
}

void validate(const LoraConfig& config) {
  check_numbers(config);
  check_patterns(config);
  check_modules(config);
  const auto& known = kInitializations;
  if (std::find(known.begin(), known.end(), config.init_lora_weights) == known.end()) {
    user_error("init_lora_weights = {} is not supported, expected one of {}", config.init_lora_weights,
               fmt::join(known, ", "));
  }
}

}  // namespace allreco::model
