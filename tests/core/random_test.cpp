#include "core/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace allreco::core {

// Known answers of Random123's kat_vectors for philox4x32-10.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32(0, {0, 0, 0, 0}),
            (std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32(0xffffffffffffffff, {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}),
            (std::array<std::uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32(0x299f31d0a4093822, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}),
            (std::array<std::uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomStream, SameKeySameDraws) {
  RandomStream a(7), b(7), c(8);
  EXPECT_EQ(a.next_u64(), b.next_u64());
  EXPECT_NE(a.next_u64(), c.next_u64());
}

// The mean of n uniforms has standard deviation 1/sqrt(12 n); 5 sigma with n = 100000 is 0.0046.
TEST(RandomStream, UniformMeanAndNormalMoments) {
  RandomStream stream(key_of("moments"));
  double sum = 0, normal_sum = 0, normal_squares = 0;
  const int n = 100'000;
  for (int i = 0; i < n; ++i) {
    const double u = stream.next_uniform();
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
    const double x = stream.next_normal();
    normal_sum += x;
    normal_squares += x * x;
  }
  EXPECT_NEAR(sum / n, 0.5, 0.0046);
  EXPECT_NEAR(normal_sum / n, 0.0, 5.0 / std::sqrt(n));
  EXPECT_NEAR(normal_squares / n, 1.0, 5.0 * std::sqrt(2.0 / n));
}

TEST(RandomStream, BelowCoversItsRangeEvenly) {
  RandomStream stream(3);
  std::array<int, 7> counts{};
  for (int i = 0; i < 70'000; ++i) ++counts[stream.next_below(7)];
  for (int count : counts) EXPECT_NEAR(count, 10'000, 5 * std::sqrt(10'000 * 6.0 / 7));
}

TEST(ForEachBelow, CoversItsRangeEvenlyWithEveryWordOfEachBlock) {
  std::array<int, 7> counts{};
  std::vector<std::uint32_t> draws;
  for_each_below(3, 7, 70'000, [&](std::uint32_t draw) {
    ++counts[draw];
    draws.push_back(draw);
  });
  for (int count : counts) EXPECT_NEAR(count, 10'000, 5 * std::sqrt(10'000 * 6.0 / 7));
  ASSERT_EQ(draws.size(), 70'000u);
  for (std::uint32_t i = 0; i < 12; ++i)  // no word of these is one of the 4 in 2^32 that are left out
    EXPECT_EQ(draws[i], std::uint64_t{philox4x32(3, {i / 4, 0, 0, 0})[i % 4]} * 7 >> 32);
}

/// Of 2^32 words 2^30 fall on each of three thirds and the rest is left out: were it kept, draws below 3 * 2^30 would
/// be uneven.
TEST(ForEachBelow, IsUnbiasedForLargeBounds) {
  constexpr std::uint32_t kBound = 3u << 30;
  std::array<int, 3> thirds{};
  for_each_below(5, kBound, 30'000, [&](std::uint32_t draw) { ++thirds[draw >> 30]; });
  for (int count : thirds) EXPECT_NEAR(count, 10'000, 5 * std::sqrt(10'000 * 2.0 / 3));
}

TEST(MixKey, CoordinatesAndTheirOrderMatter) {
  EXPECT_NE(mix_key(1, {2, 3}), mix_key(1, {3, 2}));
  EXPECT_NE(mix_key(1, {2}), mix_key(2, {2}));
  EXPECT_NE(mix_key(1, {0}), mix_key(1, {0, 0}));
}

}  // namespace allreco::core
