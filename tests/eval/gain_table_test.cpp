// Expectations over ties from sums, against the ranks one by one; sampled lists against drawing them.
#include "eval/gain_table.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/random.h"

namespace allreco::eval {
namespace {

TEST(GainTable, ExpectationIsTheMeanOverTheRanksOfATie) {
  constexpr std::int64_t kItems = 200;
  const GainTable table(kItems, [](std::int64_t rank) { return 1.0 / static_cast<double>(rank); });
  for (std::int64_t g = 0; g < kItems; g += 7) {
    for (std::int64_t e = 0; g + e < kItems; e += 5) {
      const Ranks ranks{g, e, kItems};
      EXPECT_NEAR(table.expectation(ranks), reciprocal_rank(ranks), 1e-14 * 200);  // differences of sums up to 6
    }
  }
}

TEST(SampledHitRate, IsWhatDrawingNegativesGives) {
  constexpr std::int64_t kDraws = 20'000, n = 101, m = 20, k = 3;
  core::RandomStream stream(7);
  for (const std::int64_t rank : {1, 5, 15, 40, 101}) {
    std::int64_t hits = 0;
    for (std::int64_t draw = 0; draw < kDraws; ++draw) {
      std::int64_t above = 0;
      for (std::int64_t j = 0; j < m; ++j) above += static_cast<std::int64_t>(stream.next_below(n - 1)) < rank - 1;
      hits += above < k;
    }
    // Five standard deviations of a share of 20,000.
    EXPECT_NEAR(sampled_hit_rate(rank, n, m, k), static_cast<double>(hits) / kDraws, 5 * 0.5 / std::sqrt(kDraws));
  }
  EXPECT_EQ(sampled_hit_rate(1, n, m, k), 1.0);
  EXPECT_EQ(sampled_hit_rate(n, n, m, k), 0.0);
  EXPECT_NEAR(sampled_hit_rate(100, 12101, 99, 10), 1.0, 1e-6);  // easy negatives: rank 100 of 12,101 looks perfect
}

}  // namespace
}  // namespace allreco::eval
