// What dataset.json says about the examples of each split.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/prepare/splits.h"
#include "data/store/dataset.h"

namespace allreco::data {

class SplitStatistics {
 public:
  void add(Split split, const Example& example);

  /// What another one has counted of other examples.
  void merge(const SplitStatistics& other);
  /// For other ranks: merge(from_json(to_json())) is merge.
  core::Json to_json() const;
  static SplitStatistics from_json(const core::Json& json);

  std::int64_t num_examples(Split split) const { return num_examples_[index(split)]; }
  std::int64_t num_examples() const;
  /// Per split with examples: {min, mean, median, p95, max} of the length in tokens.
  core::Json token_lengths() const;
  /// Per split with candidates: how often the target stood first, second, ... Empty without candidates.
  core::Json gold_positions() const;
  /// "train 900, validation 100, test 100"
  std::string summary() const;

 private:
  static size_t index(Split split) { return static_cast<size_t>(split); }

  std::array<std::int64_t, kSplits.size()> num_examples_{};
  std::array<std::map<std::int64_t, std::int64_t>, kSplits.size()> lengths_;  // how many examples have each length
  std::array<std::vector<std::int64_t>, kSplits.size()> gold_positions_;
};

}  // namespace allreco::data
