// What dataset.json says about the examples of each split.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "core/json.h"
#include "data/prepare/splits.h"
#include "data/store/dataset.h"

namespace allreco::data {

class SplitStatistics {
 public:
  void add(Split split, const Example& example);

  std::int64_t num_examples(Split split) const { return std::ssize(lengths_[index(split)]); }
  std::int64_t num_examples() const;
  /// Per split with examples: {min, mean, median, p95, max} of the length in tokens.
  core::Json token_lengths() const;
  /// Per split with candidates: how often the target stood first, second, ... Empty without candidates.
  core::Json gold_positions() const;
  /// "train 900, validation 100, test 100"
  std::string summary() const;

 private:
  static size_t index(Split split) { return static_cast<size_t>(split); }

  std::array<std::vector<std::int64_t>, kSplits.size()> lengths_;
  std::array<std::vector<std::int64_t>, kSplits.size()> gold_positions_;
};

}  // namespace allreco::data
