#include "eval/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/check.h"
#include "core/random.h"

namespace allreco::eval {
namespace {

/// The mean of gain(rank of gold) over all orders that sort the scores downwards: random tie-breaking by enumeration.
template <class Gain>
double enumerated(const std::vector<double>& scores, std::size_t gold, const Gain& gain) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  double sum = 0, orders = 0;
  do {
    const auto by_score = [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; };
    if (!std::is_sorted(order.begin(), order.end(), by_score)) continue;
    orders += 1;
    sum += gain(static_cast<std::size_t>(std::find(order.begin(), order.end(), gold) - order.begin()) + 1);
  } while (std::next_permutation(order.begin(), order.end()));
  return sum / orders;
}

double enumerated_hit_rate(const std::vector<double>& scores, std::size_t gold, std::size_t k) {
  return enumerated(scores, gold, [k](std::size_t rank) { return rank <= k ? 1.0 : 0.0; });
}

std::vector<double> scores_with_ties(core::RandomStream& stream, std::size_t count) {
  std::vector<double> scores;
  for (std::size_t j = 0; j < count; ++j) scores.push_back(-static_cast<double>(stream.next_below(4)));
  return scores;
}

TEST(Metrics, AgreeWithEnumerationOfAllTieBreaks) {
  core::RandomStream stream(1);
  for (int round = 0; round < 200; ++round) {
    const std::vector<double> scores = scores_with_ties(stream, 2 + stream.next_below(5));
    const std::size_t gold = stream.next_below(scores.size());
    const Ranks ranks = ranks_of(scores, gold);
    double mean_rank = 0;  // the expectation of the rank is the sum over k of P(rank >= k)
    for (std::size_t k = 1; k <= scores.size(); ++k) {
      const double expected = enumerated_hit_rate(scores, gold, k);
      EXPECT_NEAR(hit_rate(ranks, static_cast<std::int64_t>(k)), expected, 1e-12);  // ratios of small integers
      const double gain = enumerated(scores, gold, [k](std::size_t rank) {
        return rank <= k ? 1.0 / std::log2(static_cast<double>(rank) + 1) : 0.0;
      });
      EXPECT_NEAR(ndcg(ranks, static_cast<std::int64_t>(k)), gain, 1e-12);  // means of at most 720 terms up to 1
      mean_rank += 1.0 - (k == 1 ? 0.0 : enumerated_hit_rate(scores, gold, k - 1));
    }
    EXPECT_NEAR(ranks.mid(), mean_rank, 1e-12);
    const double inverse = enumerated(scores, gold, [](std::size_t rank) { return 1.0 / static_cast<double>(rank); });
    EXPECT_NEAR(reciprocal_rank(ranks), inverse, 1e-12);
    double beaten = 0;
    for (std::size_t j = 0; j < scores.size(); ++j) {
      if (j != gold) beaten += scores[gold] > scores[j] ? 1.0 : scores[gold] == scores[j] ? 0.5 : 0.0;
    }
    EXPECT_NEAR(auc(ranks), beaten / static_cast<double>(scores.size() - 1), 1e-12);
  }
}

TEST(Metrics, HandComputedRanks) {
  const std::vector<double> scores{0.1, 0.7, 0.7, -3.0, 0.9};
  const Ranks ranks = ranks_of(scores, 1);  // one higher, one equal: the mid-rank is 2.5
  EXPECT_EQ(ranks.optimistic(), 2);
  EXPECT_EQ(ranks.pessimistic(), 3);
  EXPECT_DOUBLE_EQ(ranks.mid(), 2.5);
  EXPECT_DOUBLE_EQ(hit_rate(ranks, 1), 0.0);
  EXPECT_DOUBLE_EQ(hit_rate(ranks, 2), 0.5);
  EXPECT_DOUBLE_EQ(hit_rate(ranks, 3), 1.0);
  EXPECT_NEAR(ndcg(ranks, 2), 0.3154649, 1e-7);  // (1 / log2(3) + 0) / 2
  EXPECT_NEAR(ndcg(ranks, 3), 0.5654649, 1e-7);  // (1 / log2(3) + 1 / log2(4)) / 2
  EXPECT_DOUBLE_EQ(reciprocal_rank(ranks), (1.0 / 2 + 1.0 / 3) / 2);
  EXPECT_DOUBLE_EQ(auc(ranks), (4 - 1 - 0.5) / 4);
  EXPECT_EQ(argmax(scores), 4u);

  const Ranks best = ranks_of(scores, 4);
  EXPECT_DOUBLE_EQ(ndcg(best, 1), 1.0);
  EXPECT_NEAR(ndcg(ranks_of(std::vector<double>{2, 1}, 1), 2), 0.6309298, 1e-7);  // 1 / log2(3)
}

// What a beam does not find ties by the million; the sum is then no longer taken one by one.
TEST(Metrics, LongTiesAreTheSumsOfTheirRanks) {
  for (const std::int64_t higher : {0, 1, 20, 127, 128, 129, 5000}) {
    for (const std::int64_t equal : {127, 128, 129, 130, 1000, 300'000}) {
      long double sum = 0;
      for (std::int64_t rank = higher + 1 + equal; rank > higher; --rank) sum += 1.0L / static_cast<long double>(rank);
      const double expected = static_cast<double>(sum / static_cast<long double>(equal + 1));
      const Ranks ranks{higher, equal, higher + 1 + equal};
      // Both harmonic numbers are below 16 and rounded to 2^-49, the sum of up to 128 terms no worse.
      EXPECT_NEAR(reciprocal_rank(ranks), expected, 4 * std::ldexp(1.0, -49) / static_cast<double>(equal + 1))
          << higher << " " << equal;
    }
  }
}

/// A scorer that knows nothing must not look perfect: optimistic ties would give 1.
TEST(Metrics, ConstantScorerIsChance) {
  const Ranks ranks = ranks_of(std::vector<double>(4, 0.0), 2);
  EXPECT_DOUBLE_EQ(hit_rate(ranks, 1), 0.25);
  EXPECT_NEAR(ndcg(ranks, 2), 0.4077324, 1e-7);          // (1 + 1 / log2(3)) / 4
  EXPECT_NEAR(reciprocal_rank(ranks), 0.5208333, 1e-7);  // (1 + 1/2 + 1/3 + 1/4) / 4
  const Ranks oracle = ranks_of(std::vector<double>{0, 1, 0, 0}, 1);
  EXPECT_EQ(hit_rate(oracle, 1), 1.0);
  EXPECT_EQ(ndcg(oracle, 1), 1.0);
  EXPECT_EQ(reciprocal_rank(oracle), 1.0);
  EXPECT_DOUBLE_EQ(ranks.mid(), 2.5);
  EXPECT_DOUBLE_EQ(auc(ranks), 0.5);
}

TEST(Metrics, RefuseScoresWithoutARank) {
  EXPECT_THROW(ranks_of(std::vector<double>{0.0, std::nan("")}, 0), core::Fault);
  EXPECT_THROW(ranks_of(std::vector<double>{0.0, -std::numeric_limits<double>::infinity()}, 0), core::Fault);
  EXPECT_THROW(ranks_of(std::vector<double>{0.0}, 1), core::Fault);
}

TEST(Metrics, PooledAucAgreesWithAllPairs) {
  core::RandomStream stream(2);
  for (int round = 0; round < 50; ++round) {
    const std::vector<double> scores = scores_with_ties(stream, 20);
    std::vector<bool> positive;
    for (std::size_t i = 0; i < scores.size(); ++i) positive.push_back(stream.next_below(3) == 0);
    double beaten = 0, pairs = 0;
    for (std::size_t i = 0; i < scores.size(); ++i) {
      for (std::size_t j = 0; j < scores.size(); ++j) {
        if (!positive[i] || positive[j]) continue;
        pairs += 1;
        beaten += scores[i] > scores[j] ? 1.0 : scores[i] == scores[j] ? 0.5 : 0.0;
      }
    }
    if (pairs == 0) continue;
    EXPECT_NEAR(pooled_auc(scores, positive), beaten / pairs, 1e-12);
  }
  EXPECT_TRUE(std::isnan(pooled_auc(std::vector<double>{1, 2}, {true, true})));
}

}  // namespace
}  // namespace allreco::eval
