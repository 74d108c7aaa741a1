#include "eval/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "core/check.h"

namespace allreco::eval {

namespace {

/// The mean of gain(rank), which is 0 beyond `last`, over the ranks that breaking ties at random may give.
template <class Gain>
double mean_over_ranks(const Ranks& ranks, std::int64_t last, const Gain& gain) {
  double sum = 0;
  for (std::int64_t rank = ranks.optimistic(); rank <= std::min(last, ranks.pessimistic()); ++rank)
    sum += gain(static_cast<double>(rank));
  return sum / static_cast<double>(ranks.num_equal + 1);
}

/// 1 + 1/2 + ... + 1/n for n >= 128, by Euler and Maclaurin: the next term is below 1e-19.
double harmonic_number(double n) {
  const double square = 1.0 / (n * n);
  return std::log(n) + std::numbers::egamma + 0.5 / n - square * (1.0 / 12 - square * (1.0 / 120 - square / 252));
}

}  // namespace

Ranks ranks_of(std::span<const double> scores, std::size_t gold) {
  core::require(gold < scores.size(), "the right answer must be one of the scored candidates");
  Ranks ranks{.num_candidates = static_cast<std::int64_t>(scores.size())};
  for (std::size_t j = 0; j < scores.size(); ++j) {
    core::require(std::isfinite(scores[j]), "candidate scores must be finite");
    if (j == gold) continue;
    ranks.num_higher += scores[j] > scores[gold];
    ranks.num_equal += scores[j] == scores[gold];
  }
  return ranks;
}

double hit_rate(const Ranks& ranks, std::int64_t k) {
  core::require(k >= 1, "hit_rate needs k >= 1");
  // The rank is uniform on g+1 ... g+1+e.
  const double share = static_cast<double>(k - ranks.num_higher) / static_cast<double>(ranks.num_equal + 1);
  return std::clamp(share, 0.0, 1.0);
}

double ndcg(const Ranks& ranks, std::int64_t k) {
  core::require(k >= 1, "ndcg needs k >= 1");
  return mean_over_ranks(ranks, k, [](double rank) { return 1.0 / std::log2(rank + 1.0); });
}

double reciprocal_rank(const Ranks& ranks) {
  // The items that a search did not find tie by the thousand: these are not added up one by one.
  constexpr std::int64_t added_up = 128;
  const auto inverse = [](double rank) { return 1.0 / rank; };
  if (ranks.num_equal <= added_up) return mean_over_ranks(ranks, ranks.pessimistic(), inverse);
  const std::int64_t first = std::max(ranks.optimistic(), added_up);
  const double rest =
      harmonic_number(static_cast<double>(ranks.pessimistic())) - harmonic_number(static_cast<double>(first));
  return mean_over_ranks(ranks, first, inverse) + rest / static_cast<double>(ranks.num_equal + 1);
}

double auc(const Ranks& ranks) {
  const auto num_wrong = static_cast<double>(ranks.num_candidates - 1);
  core::require(num_wrong > 0, "auc needs a wrong candidate");
  return (num_wrong - static_cast<double>(ranks.num_higher) - static_cast<double>(ranks.num_equal) / 2.0) / num_wrong;
}

std::size_t argmax(std::span<const double> scores) {
  core::require(!scores.empty(), "argmax needs a score");
  return static_cast<std::size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

double pooled_auc(std::span<const double> scores, const std::vector<bool>& is_positive) {
  core::require(scores.size() == is_positive.size(), "pooled_auc needs one label a score");
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return scores[a] < scores[b]; });
  double beaten = 0;     // pairs that the positive wins, ties half
  double negatives = 0;  // with a lower score
  double positives = 0;
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin;  // [begin, end): equal scores
    double tied_positives = 0;
    while (end < order.size() && scores[order[end]] == scores[order[begin]])
      tied_positives += is_positive[order[end++]];
    const double tied_negatives = static_cast<double>(end - begin) - tied_positives;
    beaten += tied_positives * (negatives + tied_negatives / 2.0);
    negatives += tied_negatives;
    positives += tied_positives;
    begin = end;
  }
  if (positives == 0 || negatives == 0) return std::numeric_limits<double>::quiet_NaN();
  return beaten / (positives * negatives);
}

double mean(std::span<const double> values) {
  core::require(!values.empty(), "mean needs a value");
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

}  // namespace allreco::eval
