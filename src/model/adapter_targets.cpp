#include "model/adapter_targets.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "core/check.h"
#include "model/projection.h"

namespace allreco::model {
using core::user_error;

namespace {

struct Target {
  Projection projection = Projection::q;
  std::optional<std::int64_t> layer;  // none: in every layer
};

/// "model.layers.3." -> 3, "layers.3." -> 3
std::optional<std::int64_t> layer_from_prefix(std::string_view prefix) {
  if (prefix.starts_with("model.")) prefix.remove_prefix(6);
  if (!prefix.starts_with("layers.") || !prefix.ends_with('.')) return std::nullopt;
  prefix.remove_prefix(7);
  prefix.remove_suffix(1);
  std::int64_t layer = -1;
  const auto [end, error] = std::from_chars(prefix.data(), prefix.data() + prefix.size(), layer);
  if (error != std::errc() || end != prefix.data() + prefix.size() || layer < 0) return std::nullopt;
  return layer;
}

std::optional<Target> parse_target(std::string_view name) {
  for (const Projection p : kProjections) {
    const std::string_view path = module_path_of(p);
    if (name == name_of(p) || name == path) return Target{p, std::nullopt};
    if (!name.ends_with(path)) continue;
    if (const auto layer = layer_from_prefix(name.substr(0, name.size() - path.size()))) return Target{p, layer};
  }
  return std::nullopt;
}

/// Every layer from the first to the last that is named must have the same projections.
void check_layers_alike(const std::map<std::int64_t, std::set<Projection>>& layers, const std::string& file) {
  if (layers.empty()) return;
  const bool alike = std::all_of(layers.begin(), layers.end(),
                                 [&](const auto& layer) { return layer.second == layers.begin()->second; });
  const bool complete =
      layers.begin()->first == 0 && layers.rbegin()->first == static_cast<std::int64_t>(layers.size()) - 1;
  if (!alike || !complete) {
    user_error("{}: target_modules names other projections in some layers than in others, which is not supported",
               file);
  }
}

}  // namespace

std::vector<std::string> read_target_modules(const core::Json& value, const std::string& file) {
  if (value == "all-linear") return {"all-linear"};
  if (value.is_string()) {
    user_error("{}: target_modules = {} is a regular expression, which is not supported; give a list of names", file,
               value.dump());
  }
  if (!value.is_array() || value.empty()) {
    user_error("{}: target_modules = {}, expected all-linear or a list of names", file, value.dump());
  }
  std::set<Projection> projections;
  std::map<std::int64_t, std::set<Projection>> layers;
  for (const core::Json& name : value) {
    const auto target = name.is_string() ? parse_target(name.get<std::string>()) : std::nullopt;
    if (!target) {
      user_error(
          "{}: target_modules: {} is not supported, expected projections like q_proj or model.layers.0.mlp.up_proj",
          file, name.dump());
    }
    projections.insert(target->projection);
    if (target->layer) layers[*target->layer].insert(target->projection);
  }
  check_layers_alike(layers, file);
  std::vector<std::string> names;
  for (const Projection p : projections) names.emplace_back(name_of(p));
  return names;
}

}  // namespace allreco::model
