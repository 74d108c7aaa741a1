// Options as JSON: in what a dataset or an evaluation says about how it was made.
#pragma once
#include "core/json.h"
#include "core/options.h"

namespace allreco::core {

/// {name: value} in the order of config.options().
template <class Config>
Json options_json(const Config& config) {
  Config copy = config;  // descriptions point to fields that may change
  Json json = Json::object();
  for (const OptionGroup& group : copy.options()) {
    for (const Option& option : group.options)
      option.visit_field([&](const auto& field) { json[option.name()] = field; });
  }
  return json;
}

}  // namespace allreco::core
