#include "model/lora/adapter_targets.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

#include "core/check.h"
#include "model/lora/python_regex.h"

namespace allreco::model {
using core::user_error;

namespace {

std::string module_name(std::int64_t layer, Projection p) {
  return fmt::format("model.layers.{}.{}", layer, module_path_of(p));
}

bool is_end_of(const std::string& name, const std::string& module) {
  return module == name || module.ends_with("." + name);
}

/// `name` without a leading `part`, or none.
std::optional<std::string_view> without(std::string_view name, std::string_view part) {
  if (!name.starts_with(part)) return std::nullopt;
  return name.substr(part.size());
}

/// "", "0.", "layers.0.", "model.layers.0."
bool is_end_of_layer_prefix(std::string_view prefix) {
  if (const auto rest = without(prefix, "model.layers."))
    prefix = *rest;
  else if (const auto shorter = without(prefix, "layers."))
    prefix = *shorter;
  if (prefix.empty()) return true;
  if (prefix.back() != '.') return false;
  prefix.remove_suffix(1);
  return !prefix.empty() && prefix.find_first_not_of("0123456789") == std::string_view::npos;
}

PythonRegex pattern_regex(const std::string& option, const std::string& key) {
  return {option, "(.*\\.)?(" + key + ")"};  // PEFT's get_pattern_key
}

/// target_modules or exclude_modules.
class ModuleList {
 public:
  ModuleList(const std::string& option, std::vector<std::string> modules) : modules_(std::move(modules)) {
    if (const auto text = as_regex(modules_)) regex_.emplace(option, *text);
  }
  bool is_regex() const { return regex_.has_value(); }
  bool names_exactly(const std::string& module) const {
    return !regex_ && std::find(modules_.begin(), modules_.end(), module) != modules_.end();
  }
  bool matches(const std::string& module) const {
    if (regex_) return regex_->fullmatch(module);
    return std::any_of(modules_.begin(), modules_.end(), [&](const auto& name) { return is_end_of(name, module); });
  }

 private:
  std::vector<std::string> modules_;
  std::optional<PythonRegex> regex_;
};

/// rank_pattern or alpha_pattern.
template <class Value>
class ModulePattern {
 public:
  ModulePattern(std::string option, const LoraPattern<Value>& pattern) : option_(std::move(option)) {
    for (const auto& [key, value] : pattern) entries_.push_back({key, pattern_regex(option_, key), value, false});
  }
  Value value_for(const std::string& module, Value otherwise) {
    const Entry* first = nullptr;
    for (Entry& entry : entries_) {
      if (!entry.regex.fullmatch(module)) continue;
      entry.used = true;
      if (first != nullptr && first->value != entry.value) {
        user_error("{}: {} gives {} = {}, {} gives {}: write them so that they do not overlap, since PEFT sorts them",
                   option_, first->key, module, first->value, entry.key, entry.value);
      }
      if (first == nullptr) first = &entry;
    }
    return first == nullptr ? otherwise : first->value;
  }
  void require_all_used() const {
    for (const Entry& entry : entries_) {
      if (!entry.used) user_error("{}: no targeted module's path ends in a match of {}", option_, entry.key);
    }
  }

 private:
  struct Entry {
    std::string key;
    PythonRegex regex;
    Value value;
    bool used;
  };
  std::string option_;
  std::vector<Entry> entries_;
};

/// PEFT's check_target_module_exists.
class TargetRules {
 public:
  explicit TargetRules(const LoraConfig& config)
      : layers_(config.layers_to_transform),
        targets_("target_modules", names_of(config)),
        excluded_("exclude_modules", config.exclude_modules) {
    for (const std::string& pattern : config.layers_pattern)
      layer_numbers_.emplace_back("layers_pattern", "(?:^|.*?\\.)" + pattern + "\\.(\\d+)\\.");
  }
  bool matches(const std::string& module) const { return !excluded_.matches(module) && targets_.matches(module); }
  bool targets(const std::string& module, std::int64_t layer) const {
    if (!matches(module)) return false;
    return layers_.empty() || targets_.names_exactly(module) || in_layers(module, layer);
  }
  bool is_regex() const { return targets_.is_regex(); }

 private:
  static std::vector<std::string> names_of(const LoraConfig& config) {
    if (config.target_modules != std::vector<std::string>{"all-linear"}) return config.target_modules;
    std::vector<std::string> names;
    for (const Projection p : kProjections) names.emplace_back(name_of(p));
    return names;
  }
  bool in_layers(const std::string& module, std::int64_t layer) const {
    const auto listed = [&](const std::string& number) {
      return std::any_of(layers_.begin(), layers_.end(), [&](auto l) { return std::to_string(l) == number; });
    };
    if (layer_numbers_.empty()) return listed(std::to_string(layer));
    for (const PythonRegex& pattern : layer_numbers_) {
      if (const auto number = pattern.last_group(module)) return listed(*number);
    }
    return false;
  }

  std::vector<std::int64_t> layers_;
  ModuleList targets_, excluded_;
  std::vector<PythonRegex> layer_numbers_;
};

void check_layers_exist(const LoraConfig& config, const ModelConfig& model) {
  for (const std::int64_t layer : config.layers_to_transform) {
    if (layer >= model.num_hidden_layers)
      user_error("layers_to_transform: there is no layer {}, the model has layers 0 to {}", layer,
                 model.num_hidden_layers - 1);
  }
}

void check_names_met(const LoraConfig& config, const ModelConfig& model) {
  if (as_regex(config.target_modules) || config.target_modules == std::vector<std::string>{"all-linear"}) return;
  for (const std::string& name : config.target_modules) {
    bool met = false;
    for (std::int64_t layer = 0; layer < model.num_hidden_layers && !met; ++layer)
      met = std::any_of(kProjections.begin(), kProjections.end(),
                        [&](Projection p) { return is_end_of(name, module_name(layer, p)); });
    if (!met) user_error("target_modules: {} names no module of a model of {} layers", name, model.num_hidden_layers);
  }
}

/// PEFT would give factors to, or fail at, whatever else a regular expression matches.
void check_nothing_else_matches(const TargetRules& rules, const ModelConfig& model) {
  if (!rules.is_regex()) return;
  std::vector<std::string> others{"lm_head",      "model",      "model.embed_tokens",
                                  "model.layers", "model.norm", "model.rotary_emb"};
  for (std::int64_t layer = 0; layer < model.num_hidden_layers; ++layer) {
    for (const char* end : {"", ".self_attn", ".mlp", ".mlp.act_fn"})
      others.push_back(fmt::format("model.layers.{}{}", layer, end));
    for (const NormName& norm : model.norms) others.push_back(fmt::format("model.layers.{}.{}", layer, norm.module));
  }
  for (const std::string& module : others) {
    if (rules.matches(module))
      user_error(
          "target_modules matches {}, which gets no LoRA factors here: write it so that it matches projections only",
          module);
  }
}

/// A weight has as many singular vectors, and columns of Q, as its smaller side.
void check_r_of_init(const LoraConfig& config, const ModelConfig& model, const std::string& module, Projection p,
                     std::int64_t r) {
  if (!config.initializes_from_weight()) return;
  const auto [out, in] = shape_of(p, model);
  if (r <= std::min(out, in)) return;
  user_error(
      "lora_r = {} is out of range for {} [{}, {}]: init_lora_weights = {} starts at most rank {}; give a smaller "
      "lora_r, or one for this module in rank_pattern",
      r, module, out, in, config.init_lora_weights, std::min(out, in));
}

}  // namespace

void check_target_name(const std::string& name) {
  for (const Projection p : kProjections) {
    if (name == name_of(p)) return;
    const std::string_view path = module_path_of(p);
    if (name.ends_with(path) && is_end_of_layer_prefix(std::string_view(name).substr(0, name.size() - path.size())))
      return;
  }
  user_error(
      "target_modules: unknown module {}, expected all-linear, a regular expression, or some of q_proj, k_proj, "
      "v_proj, o_proj, gate_proj, up_proj, down_proj, also with their paths as in model.layers.0.mlp.up_proj",
      name);
}

void check_module_pattern(const std::string& option, const std::string& key) { pattern_regex(option, key); }

std::vector<LayerTargets> resolve_targets(const LoraConfig& config, const ModelConfig& model) {
  check_layers_exist(config, model);
  check_names_met(config, model);
  const TargetRules rules(config);
  check_nothing_else_matches(rules, model);
  ModulePattern<std::int64_t> rank_pattern("rank_pattern", config.rank_pattern);
  ModulePattern<double> alpha_pattern("alpha_pattern", config.alpha_pattern);
  std::vector<LayerTargets> layers(static_cast<size_t>(model.num_hidden_layers));
  bool any = false;
  for (std::int64_t layer = 0; layer < model.num_hidden_layers; ++layer) {
    for (const Projection p : kProjections) {
      const std::string module = module_name(layer, p);
      if (!rules.targets(module, layer)) continue;
      const std::int64_t r = rank_pattern.value_for(module, config.r);
      check_r_of_init(config, model, module, p, r);
      const double scaling = config.scaling(r, alpha_pattern.value_for(module, config.lora_alpha));
      layers[static_cast<size_t>(layer)][index_of(p)] = LoraTarget{r, scaling};
      any = true;
    }
  }
  if (!any) {
    user_error("target_modules = {} (with exclude_modules and layers_to_transform) leaves no projection of the model",
               fmt::join(config.target_modules, ","));
  }
  rank_pattern.require_all_used();
  alpha_pattern.require_all_used();
  return layers;
}

}  // namespace allreco::model
