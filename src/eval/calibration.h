// How far the probabilities that a model gives its candidates can be believed.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace allreco::eval {

/// exp(s_j) / sum exp(s_k): for log-likelihoods the model's probability of each candidate, given that one of them is
/// right.
std::vector<double> softmax(std::span<const double> log_scores);

/// -log p(gold), natural logarithm, from the log scores directly: finite also where the probability underflows.
double log_loss(std::span<const double> log_scores, std::size_t gold);
/// Brier 1950, all classes: sum over candidates of (p_j - [j = gold])^2, in [0, 2].
double brier_score(std::span<const double> probabilities, std::size_t gold);

/// What a prediction claimed and what came of it. `correct` is an expectation where ties are broken at random.
struct Claim {
  double confidence = 0;  // probability of the chosen candidate
  double correct = 0;
};
/// One bin of a reliability diagram.
struct ReliabilityBin {
  double low = 0, high = 0;  // of confidences
  std::int64_t num_examples = 0;
  double mean_confidence = 0, accuracy = 0;
};
/// The bins of expected_calibration_error that are not empty.
std::vector<ReliabilityBin> reliability_bins(std::span<const Claim> claims, std::int64_t num_bins = 15);

/// Expected calibration error: sum over bins of n_b / n |mean correct - mean confidence|, bins of equal width on [0, 1]
/// (Guo et al. 2017).
double expected_calibration_error(std::span<const Claim> claims, std::int64_t num_bins = 15);
/// The same with bins of equal numbers of claims, sorted by confidence.
double expected_calibration_error_equal_mass(std::vector<Claim> claims, std::int64_t num_bins = 15);

}  // namespace allreco::eval
