// Features of an option that say nothing about the shopper's taste, and the rules that they make: choose the option
// that has least, or most, of it.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "audit/examples.h"

namespace allreco::audit {

using Examples = std::vector<const AuditExample*>;

/// What rules are learned and tested on. One that learns nothing is measured on `all`.
struct Parts {
  Examples learned_on, tested_on, all;
  std::string learned_name, tested_name;
};

enum class LooksAt { surface, popularity, history };
std::string name_of(LooksAt looks_at);

/// A rule of one feature: the option with most of it, or least, wins; ties count by expectation.
struct FeatureRule {
  std::string name, description;
};

struct Feature {
  std::string name;
  LooksAt looks_at;
  std::optional<FeatureRule> least, most;
};
const std::vector<Feature>& features();

/// One value an option, for each feature.
using FeatureValues = std::vector<std::vector<double>>;

/// Which examples must not count when the features of one of them are measured: those of its own fold. Examples of one
/// shopper are in one fold.
inline constexpr int kNumFolds = 5;
int fold_of(const AuditExample& example, std::size_t index);

class FeatureReader {
 public:
  /// Popularity is counted in `learned_on`. `data` must outlive the reader.
  FeatureReader(const AuditData& data, const Examples& learned_on);

  /// `fold`: of an example that was learned on, whose own fold is left out of all counts, as its own answer is among
  /// them; none for others.
  FeatureValues values_of(const AuditExample& example, std::optional<int> fold) const;

 private:
  using Counts = std::array<std::int32_t, kNumFolds>;  // by fold
  static double count_without(const Counts& counts, std::optional<int> fold);
  double value_of(std::size_t feature, std::uint32_t text, std::size_t place, std::optional<int> fold,
                  const Words& history) const;

  const AuditData& data_;
  std::vector<std::vector<double>> of_texts_;  // by feature, then text: what a text alone says
  std::vector<Counts> right_, wrong_;          // by text: how often it is the right option, and another one
};

}  // namespace allreco::audit
