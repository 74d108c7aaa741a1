// ConfigKeys: typed access to one JSON object of a config.json, with messages that name key, value and file. All throw
// a UserError.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"

namespace allreco::model {

// Far above any published model, and small enough that no number of parameters overflows and no list of layers fills
// the memory before config.json is compared with the tensors.
inline constexpr std::int64_t kLargestSize = 1 << 24, kLargestWidth = 1 << 20, kMostLayers = 4096,
                              kMostPositions = 1 << 30;

class ConfigKeys {
 public:
  /// `object` must outlive this. `prefix`: of its keys in messages.
  ConfigKeys(const core::Json& object, std::string file, std::string prefix = "");

  bool has(const std::string& key) const { return object_.contains(key); }
  /// There, and not null.
  bool present(const std::string& key) const { return has(key) && !object_[key].is_null(); }
  const core::Json& at(const std::string& key) const { return object_[key]; }
  ConfigKeys child(const std::string& key) const { return {object_[key], file_, prefix_ + key + "."}; }
  const std::string& file() const { return file_; }

  std::int64_t size(const std::string& key, std::int64_t largest = kLargestSize) const;
  std::int64_t size_or(const std::string& key, std::int64_t fallback, std::int64_t largest = kLargestSize) const {
    return present(key) ? size(key, largest) : fallback;
  }
  double positive(const std::string& key) const;
  double positive(const std::string& key, double fallback) const { return present(key) ? positive(key) : fallback; }
  std::optional<double> positive_or_none(const std::string& key) const;
  bool flag(const std::string& key, bool fallback = false) const;
  std::string text(const std::string& key, const std::string& fallback) const;
  /// One text a layer; empty where the key is absent or null.
  std::vector<std::string> layer_texts(const std::string& key, std::int64_t num_layers) const;

  [[noreturn]] void refuse(const std::string& key, const std::string& why) const;
  /// Where `key` is there with another value than `expected` (null counts as absent).
  void expect(const std::string& key, const core::Json& expected, const std::string& why = "") const;

 private:
  const core::Json& object_;
  std::string file_, prefix_;
};

}  // namespace allreco::model
