#include "data/batch_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "core/random.h"

namespace allreco::data {

using Parts = std::vector<std::vector<std::int64_t>>;

/// Lengths as reviews have them: most short, some very long. A pure function of the sample.
std::int64_t length_of(std::int64_t sample) {
  core::RandomStream stream(core::mix_key(11, {static_cast<std::uint64_t>(sample)}));
  const double u = stream.next_uniform();
  return 1 + static_cast<std::int64_t>(500.0 * u * u * u);
}

double cost_of(std::int64_t sample) { return CostModel{1.0, 0.002}.of(length_of(sample)); }

double cost_of_part(const std::vector<std::int64_t>& part) {
  double sum = 0;
  for (std::int64_t sample : part) sum += cost_of(sample);
  return sum;
}

std::vector<std::int64_t> sorted_union(const Parts& parts) {
  std::vector<std::int64_t> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  std::sort(all.begin(), all.end());
  return all;
}

TEST(CostModel, IsLinearPlusQuadratic) {
  EXPECT_EQ(CostModel{}.of(7), 7.0);
  EXPECT_EQ((CostModel{2.0, 0.5}.of(4)), 16.0);
}

TEST(GlobalBatch, CutsEachEpochIntoConsecutivePositions) {
  const SampleOrder rows(10, 1, false);
  EXPECT_EQ(steps_per_epoch(10, 4), 3);
  EXPECT_EQ(steps_per_epoch(8, 4), 2);
  EXPECT_EQ(steps_per_epoch(3, 100), 1);
  const std::vector<std::vector<std::int64_t>> expected{{0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9},
                                                        {0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9}};
  std::int64_t samples_consumed = 0;
  for (size_t step = 0; step < expected.size(); ++step) {
    const GlobalBatch batch = next_global_batch(rows, 4, samples_consumed);
    samples_consumed += std::ssize(batch.samples);
    EXPECT_EQ(batch.samples, expected[step]) << "step " << step;
    EXPECT_EQ(batch.epoch, static_cast<std::int64_t>(step / 3));
    EXPECT_EQ(batch.first_position, static_cast<std::int64_t>(step % 3) * 4);
  }
  EXPECT_EQ(next_global_batch(rows, 100, 20).samples.size(), 10u);
  EXPECT_EQ(next_global_batch(rows, 100, 20).epoch, 2);
  EXPECT_EQ(next_global_batch(rows, 4, 7).samples, (std::vector<std::int64_t>{7, 8, 9})) << "never over an epoch's end";
}

TEST(GlobalBatch, ShowsEverySampleOnceAnEpoch) {
  const SampleOrder order(1003, 9, true);
  for (std::int64_t epoch : {0, 1}) {
    Parts batches;
    for (std::int64_t consumed = epoch * 1003; consumed < (epoch + 1) * 1003;) {
      batches.push_back(next_global_batch(order, 64, consumed).samples);
      consumed += std::ssize(batches.back());
    }
    std::vector<std::int64_t> all(1003);
    std::iota(all.begin(), all.end(), 0);
    EXPECT_EQ(sorted_union(batches), all);
  }
}

TEST(DealByCost, FindsTheKnownAnswer) {
  // Costs 5 4 3 3 3 on two parts: 5 | 4, then 3 to the second (4 < 5), 3 to the first (5 < 7), 3 to the second (7 < 8).
  const std::vector<double> costs{3, 5, 3, 4, 3};
  const auto cost = [&](std::int64_t sample) { return costs[static_cast<size_t>(sample)]; };
  EXPECT_EQ(deal_by_cost({0, 1, 2, 3, 4}, cost, 2), (Parts{{1, 2}, {0, 3, 4}}));
  EXPECT_EQ(deal_by_cost({0, 1, 2, 3, 4}, cost, 1), (Parts{{0, 1, 2, 3, 4}}));
  EXPECT_EQ(deal_by_cost(
                {7, 8}, [](std::int64_t) { return 1.0; }, 4),
            (Parts{{7}, {8}, {}, {}}));
  EXPECT_EQ(deal_by_cost(
                {7, 8, 9}, [](std::int64_t) { return 0.0; }, 2),
            (Parts{{7, 9}, {8}}));
}

// Graham's bound: the part that ends largest got its last sample when it was the least loaded, so it was at most the
// mean before.
TEST(DealByCost, KeepsTheLargestPartNearTheMean) {
  core::RandomStream stream(5);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::int64_t> samples(1 + stream.next_below(300));
    for (auto& sample : samples) sample = static_cast<std::int64_t>(stream.next_below(1'000'000));
    const auto num_parts = static_cast<std::int64_t>(1 + stream.next_below(17));
    const Parts parts = deal_by_cost(samples, &cost_of, num_parts);
    ASSERT_EQ(parts.size(), static_cast<size_t>(num_parts));
    double largest = 0;
    double largest_sample = 0;
    for (const auto& part : parts) largest = std::max(largest, cost_of_part(part));
    for (std::int64_t sample : samples) largest_sample = std::max(largest_sample, cost_of(sample));
    const double mean = cost_of_part(samples) / static_cast<double>(num_parts);
    // Sums of up to 300 doubles: a relative 300 * 2^-53 of rounding.
    EXPECT_LE(largest, (mean + largest_sample) * (1 + 1e-12));
    for (const auto& part : parts) EXPECT_EQ(part.empty(), samples.size() < parts.size() && part.empty());
  }
}

TEST(MicroBatches, HoldEverySampleOnceForAnyWorld) {
  core::RandomStream stream(6);
  for (int round = 0; round < 100; ++round) {
    const auto num_samples = static_cast<std::int64_t>(1 + stream.next_below(400));
    const auto global_batch_size = static_cast<std::int64_t>(1 + stream.next_below(150));
    const SampleOrder order(num_samples, stream.next_u64(), true);
    const GlobalBatch batch =
        next_global_batch(order, global_batch_size, static_cast<std::int64_t>(stream.next_below(5000)));
    std::vector<std::int64_t> expected = batch.samples;
    std::sort(expected.begin(), expected.end());
    for (std::int64_t world_size : {1, 2, 3, 4, 8, 13}) {
      const auto per_device = static_cast<std::int64_t>(1 + stream.next_below(9));
      Parts all;
      for (std::int64_t rank = 0; rank < world_size; ++rank) {
        const Parts own = micro_batches_of_shards(batch, &cost_of, world_size, rank, 1, per_device).at(0);
        EXPECT_EQ(own, micro_batches_of_shards(batch, &cost_of, world_size, 0, world_size, per_device)
                           .at(static_cast<size_t>(rank)))
            << "depends on who asks";
        std::int64_t held = 0;
        for (const auto& micro_batch : own) {
          EXPECT_FALSE(micro_batch.empty());
          held += static_cast<std::int64_t>(micro_batch.size());
        }
        EXPECT_EQ(static_cast<std::int64_t>(own.size()), (held + per_device - 1) / per_device);
        all.insert(all.end(), own.begin(), own.end());
      }
      ASSERT_EQ(sorted_union(all), expected) << num_samples << " samples on " << world_size << " ranks";
    }
  }
}

TEST(MicroBatches, KeepTheBatchOrderInside) {
  const GlobalBatch batch{0, 0, {9, 3, 7, 1, 8, 2}};
  const auto one = micro_batches_of_shards(batch, &cost_of, 1, 0, 1, 100).at(0);
  EXPECT_EQ(one, (Parts{{9, 3, 7, 1, 8, 2}}));
  const auto half = micro_batches_of_shards(batch, &cost_of, 2, 0, 1, 2).at(0);
  for (const auto& micro_batch : half) {
    std::vector<std::ptrdiff_t> places;
    for (std::int64_t sample : micro_batch)
      places.push_back(std::find(batch.samples.begin(), batch.samples.end(), sample) - batch.samples.begin());
    EXPECT_TRUE(std::is_sorted(places.begin(), places.end()));
  }
}

}  // namespace allreco::data
