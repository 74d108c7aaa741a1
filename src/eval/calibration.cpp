#include "eval/calibration.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"

namespace allreco::eval {

namespace {

double log_sum_exp(std::span<const double> x) {
  core::require(!x.empty(), "log-sum-exp needs a value");
  const double largest = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (double value : x) sum += std::exp(value - largest);
  return largest + std::log(sum);
}

/// |sum of (correct - confidence)| of one bin; divided by the number of all claims it is the bin's share of the error.
double gap_of(std::span<const Claim> bin) {
  double gap = 0;
  for (const Claim& claim : bin) gap += claim.correct - claim.confidence;
  return std::abs(gap);
}

/// Of equal width on [0, 1]; the last holds 1 itself.
std::vector<std::vector<Claim>> bins_of(std::span<const Claim> claims, std::int64_t num_bins) {
  core::require(num_bins > 0, "claims go into a bin each");
  std::vector<std::vector<Claim>> bins(static_cast<std::size_t>(num_bins));
  for (const Claim& claim : claims) {
    const auto bin = static_cast<std::int64_t>(claim.confidence * static_cast<double>(num_bins));
    bins[static_cast<std::size_t>(std::clamp<std::int64_t>(bin, 0, num_bins - 1))].push_back(claim);
  }
  return bins;
}

}  // namespace

std::vector<double> softmax(std::span<const double> log_scores) {
  const double norm = log_sum_exp(log_scores);
  std::vector<double> p;
  for (double score : log_scores) p.push_back(std::exp(score - norm));
  return p;
}

double log_loss(std::span<const double> log_scores, std::size_t gold) {
  core::require(gold < log_scores.size(), "the right answer must be one of the candidates");
  return log_sum_exp(log_scores) - log_scores[gold];
}

double brier_score(std::span<const double> probabilities, std::size_t gold) {
  core::require(gold < probabilities.size(), "the right answer must be one of the candidates");
  double score = 0;
  for (std::size_t j = 0; j < probabilities.size(); ++j) {
    const double error = probabilities[j] - (j == gold ? 1.0 : 0.0);
    score += error * error;
  }
  return score;
}

std::vector<ReliabilityBin> reliability_bins(std::span<const Claim> claims, std::int64_t num_bins) {
  const auto bins = bins_of(claims, num_bins);
  const auto width = 1 / static_cast<double>(num_bins);
  std::vector<ReliabilityBin> all;
  for (std::size_t b = 0; b < bins.size(); ++b) {
    if (bins[b].empty()) continue;
    ReliabilityBin bin{.low = width * static_cast<double>(b),
                       .high = width * static_cast<double>(b + 1),
                       .num_examples = std::ssize(bins[b])};
    for (const Claim& claim : bins[b]) {
      bin.mean_confidence += claim.confidence / static_cast<double>(bin.num_examples);
      bin.accuracy += claim.correct / static_cast<double>(bin.num_examples);
    }
    all.push_back(bin);
  }
  return all;
}

double expected_calibration_error(std::span<const Claim> claims, std::int64_t num_bins) {
  core::require(!claims.empty(), "a calibration error needs claims");
  double error = 0;
  for (const auto& bin : bins_of(claims, num_bins)) error += gap_of(bin);
  return error / static_cast<double>(claims.size());
}

double expected_calibration_error_equal_mass(std::vector<Claim> claims, std::int64_t num_bins) {
  core::require(num_bins > 0 && !claims.empty(), "a calibration error needs bins and claims");
  std::stable_sort(claims.begin(), claims.end(),
                   [](const Claim& a, const Claim& b) { return a.confidence < b.confidence; });
  const std::size_t n = claims.size();
  const auto bins = static_cast<std::size_t>(num_bins);
  double error = 0;
  for (std::size_t b = 0; b < bins; ++b) {
    const std::size_t begin = n * b / bins;
    error += gap_of(std::span<const Claim>(claims).subspan(begin, n * (b + 1) / bins - begin));
  }
  return error / static_cast<double>(n);
}

}  // namespace allreco::eval
