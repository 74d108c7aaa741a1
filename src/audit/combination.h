// The best small combination of features: a conditional logit (McFadden 1974) over each feature's place within its
// list, grown feature by feature.
#pragma once
#include <span>
#include <vector>

#include "audit/features.h"

namespace allreco::audit {

/// What places within a list say: -1 for the least of the feature, 1 for the most, ties in the middle of theirs.
std::vector<double> places_of(const std::vector<double>& values);

struct FittedTerm {
  std::size_t feature = 0;  // index into features()
  double weight = 0;
};

/// A list as the fit sees it: the places of each feature, and which option is right.
struct PlacedList {
  FeatureValues places;
  std::size_t gold = 0;
};

/// Adds the feature that raises the likelihood most, as long as it does so by more than kLeastGain nats and there are
/// fewer than kMostTerms. `allowed`: the features to choose from. Deterministic.
inline constexpr std::size_t kMostTerms = 3;
inline constexpr double kLeastGain = 4;
std::vector<FittedTerm> fit_combination(std::span<const PlacedList> lists, const std::vector<std::size_t>& allowed);

/// The options' scores.
std::vector<double> scores_of(const std::vector<FittedTerm>& terms, const FeatureValues& places);

/// log P(the right options) under the logit of these terms, with the fit's own penalty.
double log_likelihood(std::span<const PlacedList> lists, const std::vector<FittedTerm>& terms);

}  // namespace allreco::audit
