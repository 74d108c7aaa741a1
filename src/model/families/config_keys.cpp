#include "model/families/config_keys.h"

#include <fmt/core.h>

#include "core/check.h"

namespace allreco::model {
using core::Json;
using core::user_error;

ConfigKeys::ConfigKeys(const Json& object, std::string file, std::string prefix)
    : object_(object), file_(std::move(file)), prefix_(std::move(prefix)) {
  if (!object_.is_object())
    user_error("{}: expected a JSON object at {}", file_, prefix_.empty() ? "the top" : prefix_);
}

void ConfigKeys::refuse(const std::string& key, const std::string& why) const {
  user_error("{}: {}{} = {} is not supported: {}", file_, prefix_, key, object_[key].dump(), why);
}

void ConfigKeys::expect(const std::string& key, const Json& expected, const std::string& why) const {
  if (present(key) && at(key) != expected)
    refuse(key, fmt::format("expected {}{}{}", expected.dump(), why.empty() ? "" : "; ", why));
}

std::int64_t ConfigKeys::size(const std::string& key, std::int64_t largest) const {
  if (!present(key)) user_error("{}: {}{} is missing", file_, prefix_, key);
  const Json& value = object_[key];
  if (!value.is_number_integer() || value.get<double>() < 1 || value.get<double>() > static_cast<double>(largest)) {
    refuse(key, fmt::format("expected a whole number from 1 to {}", largest));
  }
  return value.get<std::int64_t>();
}

double ConfigKeys::positive(const std::string& key) const {
  if (!present(key)) user_error("{}: {}{} is missing", file_, prefix_, key);
  const Json& value = object_[key];
  if (!value.is_number() || !(value.get<double>() > 0)) refuse(key, "expected a number above 0");
  return value.get<double>();
}

std::optional<double> ConfigKeys::positive_or_none(const std::string& key) const {
  return present(key) ? std::optional(positive(key)) : std::nullopt;
}

bool ConfigKeys::flag(const std::string& key, bool fallback) const {
  if (!present(key)) return fallback;
  if (!object_[key].is_boolean()) refuse(key, "expected true or false");
  return object_[key].get<bool>();
}

std::string ConfigKeys::text(const std::string& key, const std::string& fallback) const {
  if (!present(key)) return fallback;
  if (!object_[key].is_string()) refuse(key, "expected a text");
  return object_[key].get<std::string>();
}

std::vector<std::string> ConfigKeys::layer_texts(const std::string& key, std::int64_t num_layers) const {
  std::vector<std::string> texts;
  if (!present(key)) return texts;
  const Json& list = object_[key];
  if (!list.is_array() || std::ssize(list) != num_layers)
    refuse(key, fmt::format("expected a list of {} entries, one a layer", num_layers));
  for (const Json& entry : list) {
    if (!entry.is_string()) refuse(key, "expected texts");
    texts.push_back(entry.get<std::string>());
  }
  return texts;
}

}  // namespace allreco::model
