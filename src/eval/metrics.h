// Ranking metrics of one right answer among scored candidates. Pure functions; higher scores are better.
// Definitions and tie rules: docs/evaluation.md.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace allreco::eval {

/// Where the right answer stands among its candidates: how many score higher, how many others score exactly the same.
struct Ranks {
  std::int64_t num_higher = 0;      // g
  std::int64_t num_equal = 0;       // e, the answer itself not counted
  std::int64_t num_candidates = 0;  // the answer counted

  double mid() const { return static_cast<double>(num_higher) + 1.0 + static_cast<double>(num_equal) / 2.0; }
  std::int64_t optimistic() const { return num_higher + 1; }
  std::int64_t pessimistic() const { return num_higher + 1 + num_equal; }
};

/// REQUIRES gold < scores.size() and finite scores (a NaN has no rank): Fault otherwise.
Ranks ranks_of(std::span<const double> scores, std::size_t gold);

/// HR@k of one example: the probability of rank <= k when ties are broken at random. k = 1: accuracy. REQUIRES k >= 1.
double hit_rate(const Ranks& ranks, std::int64_t k);
/// NDCG@k of one example: the mean over its possible ranks q, each equally likely, of 1 / log2(q + 1) for q <= k, else
/// 0.
double ndcg(const Ranks& ranks, std::int64_t k);
/// The mean over the possible ranks q of 1 / q. Takes the same time for a tie of millions.
double reciprocal_rank(const Ranks& ranks);
/// The share of wrong candidates that the right one beats, ties counting half. REQUIRES a wrong candidate.
double auc(const Ranks& ranks);

/// Index of the highest score, the first of several.
std::size_t argmax(std::span<const double> scores);

/// P(a positive scores higher than a negative) over all pairs, ties counting half. NaN when one of the kinds is
/// missing. Other than the mean of auc(), it compares scores of different examples.
double pooled_auc(std::span<const double> scores, const std::vector<bool>& is_positive);

double mean(std::span<const double> values);

}  // namespace allreco::eval
