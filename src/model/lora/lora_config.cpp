#include "model/lora/lora_config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string_view>

#include "core/check.h"
#include "model/lora/adapter_targets.h"
#include "model/lora/python_regex.h"

namespace allreco::model {
using core::user_error;

namespace {

constexpr std::array<std::string_view, 5> kInitializations{"true", "false", "gaussian", "pissa", "olora"};
constexpr std::string_view kPissaIterations = "pissa_niter_";
constexpr std::int64_t kMostPissaIterations = 1000;

void check_patterns(const LoraConfig& config) {
  for (const auto& [key, rank] : config.rank_pattern) check_module_pattern("rank_pattern", key);
  for (const auto& [key, alpha] : config.alpha_pattern) check_module_pattern("alpha_pattern", key);
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
    static_cast<void>(PythonRegex("target_modules", *regex));  // or why it is none
    if (config.layers_to_transform.empty()) return;
    user_error(
        "layers_to_transform cannot be used with target_modules = {}, a regular expression: name the layers in it",
        *regex);
  }
  if (config.target_modules == std::vector<std::string>{"all-linear"}) return;
  for (const std::string& name : config.target_modules) check_target_name(name);
}

void check_initialization(const LoraConfig& config) {
  const auto& known = kInitializations;
  const bool is_known = std::find(known.begin(), known.end(), config.init_lora_weights) != known.end();
  if (!is_known && !config.pissa_iterations()) {
    user_error("init_lora_weights = {} is not supported, expected one of {}, {}N with N from 0 to {}",
               config.init_lora_weights, fmt::join(known, ", "), kPissaIterations, kMostPissaIterations);
  }
  if (config.use_dora && config.initializes_from_weight()) {
    user_error(
        "init_lora_weights = {} cannot be used with use_dora: the adapter is written as PEFT converts it to plain "
        "LoRA, and that conversion drops DoRA's magnitudes",
        config.init_lora_weights);
  }
}

}  // namespace

double LoraConfig::scaling(std::int64_t of_r, double of_alpha) const {
  const auto size = static_cast<double>(of_r);
  return of_alpha / (use_rslora ? std::sqrt(size) : size);
}

bool LoraConfig::initializes_from_weight() const {
  return init_lora_weights == "pissa" || init_lora_weights == "olora" || pissa_iterations();
}

std::optional<std::int64_t> LoraConfig::pissa_iterations() const {
  if (!init_lora_weights.starts_with(kPissaIterations)) return std::nullopt;
  std::int64_t count = 0;
  const char* end = init_lora_weights.data() + init_lora_weights.size();
  const auto [stop, error] = std::from_chars(init_lora_weights.data() + kPissaIterations.size(), end, count);
  if (error != std::errc() || stop != end || count < 0 || count > kMostPissaIterations) return std::nullopt;
  return count;
}

LoraConfig as_plain_lora(LoraConfig config) {
  if (!config.initializes_from_weight()) return config;
  const double factor = config.use_rslora ? std::sqrt(2.0) : 2;  // of alpha: the scaling stays
  config.init_lora_weights = "true";
  config.r *= 2;
  config.lora_alpha *= factor;
  for (auto& [key, rank] : config.rank_pattern) rank *= 2;
  for (auto& [key, alpha] : config.alpha_pattern) alpha *= factor;
  return config;
}

std::optional<std::string> as_regex(const std::vector<std::string>& modules) {
  const std::string joined = fmt::format("{}", fmt::join(modules, ","));
  if (joined.find_first_of("\\*+?()[]{}|^$") == std::string::npos) return std::nullopt;
  return joined;
}

void validate(const LoraConfig& config) {
  core::check_options(config);
  if (config.initializes_from_weight()) core::check_options(as_plain_lora(config));  // what it is written as
  check_patterns(config);
  check_modules(config);
  check_initialization(config);
}

}  // namespace allreco::model
