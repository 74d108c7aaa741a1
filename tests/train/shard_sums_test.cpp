#include "train/shard_sums.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/random.h"

namespace allreco::train {
namespace {

/// Numbers over many magnitudes, so that another order of the sum shows in the bits.
at::Tensor leaf(std::uint64_t shard, std::int64_t size) {
  core::RandomStream random(shard + 1);
  at::Tensor values = at::zeros({size}, at::kFloat);
  for (std::int64_t i = 0; i < size; ++i)
    values.data_ptr<float>()[i] = static_cast<float>(std::exp(4 * random.next_normal()) * random.next_normal());
  return values;
}

at::Tensor tree(std::int64_t begin, std::int64_t end, std::int64_t size) {
  if (end - begin == 1) return leaf(static_cast<std::uint64_t>(begin), size);
  const std::int64_t middle = (begin + end) / 2;
  return tree(begin, middle, size).add(tree(middle, end, size));
}

}  // namespace

TEST(ShardSums, HoldTheBitsOfTheRecursiveTreeStepAfterStep) {
  constexpr std::int64_t kSize = 5000, kCut = 1234;
  for (std::int64_t num_shards : {1, 2, 4, 8, 16}) {
    at::Tensor gradients = at::zeros({kSize}, at::kFloat);
    ShardSums sums(gradients, num_shards);
    for (int step = 0; step < 2; ++step) {
      gradients.zero_();
      for (std::int64_t shard = 0; shard < num_shards; ++shard) {
        gradients.add_(leaf(static_cast<std::uint64_t>(shard), kSize));
        if (shard + 1 < num_shards) sums.end_shard();
      }
      sums.end_last_shard(0, kCut);
      sums.end_last_shard(kCut, kSize);
      sums.restart();
      EXPECT_TRUE(at::equal(gradients, tree(0, num_shards, kSize))) << num_shards << " shards, step " << step;
    }
  }
  at::Tensor in_order = leaf(0, kSize);
  for (std::uint64_t shard = 1; shard < 8; ++shard) in_order.add_(leaf(shard, kSize));
  EXPECT_FALSE(at::equal(in_order, tree(0, 8, kSize))) << "the order does not show in these numbers";
}

TEST(TreeSum, AddsNeighboursThenPairs) {
  const std::vector<double> v{1e16, 1.0, -1e16, 1.0, 3.0};
  EXPECT_EQ(tree_sum(v), ((v[0] + v[1]) + (v[2] + v[3])) + v[4]);
  EXPECT_NE(tree_sum(v), (((v[0] + v[1]) + v[2]) + v[3]) + v[4]);
  EXPECT_EQ(tree_sum({}), 0.0);
}

}  // namespace allreco::train
