#include "data/sample_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/check.h"

namespace allreco::data {

std::vector<std::int64_t> whole_epoch(const SampleOrder& order, std::int64_t epoch) {
  std::vector<std::int64_t> samples;
  for (std::int64_t p = 0; p < order.num_samples(); ++p) samples.push_back(order.sample_at(epoch, p));
  return samples;
}

std::vector<std::int64_t> identity(std::int64_t n) {
  std::vector<std::int64_t> samples(static_cast<size_t>(n));
  std::iota(samples.begin(), samples.end(), 0);
  return samples;
}

double chi_square(const std::vector<std::int64_t>& counts) {
  const double draws = static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
  const double expected = draws / static_cast<double>(counts.size());
  double sum = 0;
  for (std::int64_t count : counts) {
    const double difference = static_cast<double>(count) - expected;
    sum += difference * difference / expected;
  }
  return sum;
}

TEST(SampleOrder, IsAPermutationForEverySize) {
  std::vector<std::int64_t> sizes{255, 256, 257, 1000, 4095, 4096, 4097, 65535, 65536, 65537};
  for (std::int64_t n = 1; n <= 70; ++n) sizes.push_back(n);
  for (std::int64_t n : sizes) {
    for (std::int64_t epoch : {0, 1, 7}) {
      std::vector<std::int64_t> samples = whole_epoch(SampleOrder(n, 42, true), epoch);
      std::sort(samples.begin(), samples.end());
      ASSERT_EQ(samples, identity(n)) << n << " samples, epoch " << epoch;
    }
  }
}

TEST(SampleOrder, WithoutShufflingIsTheIdentity) {
  EXPECT_EQ(whole_epoch(SampleOrder(100, 42, false), 3), identity(100));
}

TEST(SampleOrder, DependsOnSeedAndEpochAndOnNothingElse) {
  const SampleOrder order(1000, 42, true);
  const auto first = whole_epoch(order, 0);
  EXPECT_EQ(first, whole_epoch(SampleOrder(1000, 42, true), 0));
  EXPECT_NE(first, identity(1000));
  for (const auto& other : {whole_epoch(order, 1), whole_epoch(SampleOrder(1000, 43, true), 0)}) {
    std::int64_t equal = 0;
    for (size_t i = 0; i < first.size(); ++i) equal += first[i] == other[i] ? 1 : 0;
    // Two random permutations agree in about Poisson(1) places: 12 or more has probability 1e-10.
    EXPECT_LT(equal, 12);
  }
}

// A stopped run finds its order again after an update of the program: these values must never change. They come from a
// second implementation, in Python.
TEST(SampleOrder, StaysAsItIs) {
  const SampleOrder order(10, 42, true);
  EXPECT_EQ(whole_epoch(order, 0), (std::vector<std::int64_t>{5, 3, 0, 7, 1, 9, 2, 6, 4, 8}));
  EXPECT_EQ(whole_epoch(order, 1), (std::vector<std::int64_t>{7, 2, 1, 9, 6, 8, 4, 0, 5, 3}));
  const SampleOrder large(1'000'000'000, 7, true);
  EXPECT_EQ(large.sample_at(2, 0), 599'156'910);
  EXPECT_EQ(large.sample_at(2, 999'999'999), 431'300'376);
}

/// What a chi-square variable of `degrees` degrees of freedom exceeds once in 100,000 times (Wilson and Hilferty, 1931;
/// its error is on the safe side at 1 degree: 21.6 for 19.5).
double chi_square_limit(double degrees) {
  const double spread = 2.0 / (9.0 * degrees);
  return degrees * std::pow(1.0 - spread + 4.265 * std::sqrt(spread), 3);
}

// Where sample 0 lands, over many seeds, is uniform; likewise how far the second sample lies behind the first.
TEST(SampleOrder, IsUniformOverSeeds) {
  for (std::int64_t n : {2, 3, 5, 16, 17, 100}) {
    std::vector<std::int64_t> position_of_zero(static_cast<size_t>(n));
    std::vector<std::int64_t> step_to_next(static_cast<size_t>(n - 1));  // (sample[1] - sample[0]) mod n, 1 to n-1
    const std::uint64_t num_seeds = n <= 5 ? 30'000 : 5'000;
    for (std::uint64_t seed = 0; seed < num_seeds; ++seed) {
      const SampleOrder order(n, seed, true);
      std::int64_t position = 0;
      while (order.sample_at(0, position) != 0) ++position;
      position_of_zero[static_cast<size_t>(position)]++;
      const std::int64_t step = (order.sample_at(0, 1) - order.sample_at(0, 0) + n) % n;
      step_to_next[static_cast<size_t>(step - 1)]++;
    }
    EXPECT_LT(chi_square(position_of_zero), chi_square_limit(static_cast<double>(n - 1))) << n;
    if (n == 2) continue;  // always 1
    EXPECT_LT(chi_square(step_to_next), chi_square_limit(static_cast<double>(n - 2))) << n;
  }
}

TEST(SampleOrder, WorksForABillionSamplesWithoutMemory) {
  const std::int64_t n = 1'000'000'000;
  const SampleOrder order(n, 3, true);
  std::vector<std::int64_t> samples;
  std::vector<std::int64_t> thousandths(1000);
  for (std::int64_t p = 0; p < n; p += 2003) {
    samples.push_back(order.sample_at(5, p));
    ASSERT_GE(samples.back(), 0);
    ASSERT_LT(samples.back(), n);
    thousandths[static_cast<size_t>(samples.back() / 1'000'000)]++;
  }
  EXPECT_LT(chi_square(thousandths), chi_square_limit(999));
  std::sort(samples.begin(), samples.end());
  EXPECT_EQ(std::adjacent_find(samples.begin(), samples.end()), samples.end()) << "a sample comes twice";
}

TEST(SampleOrder, RefusesPositionsOutsideTheEpoch) {
  EXPECT_THROW(SampleOrder(0, 1, true), core::Fault);
  const SampleOrder order(5, 1, true);
  EXPECT_THROW(order.sample_at(0, 5), core::Fault);
  EXPECT_THROW(order.sample_at(0, -1), core::Fault);
  EXPECT_THROW(order.sample_at(-1, 0), core::Fault);
}

}  // namespace allreco::data
