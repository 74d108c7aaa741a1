#include "train/replica_check.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/rand.h>
#include <gtest/gtest.h>

#include <bit>
#include <set>

namespace allreco::train {
namespace {

/// By the definition, in integers that wrap round.
std::int64_t naive_checksum(const at::Tensor& flat) {
  std::uint64_t sum = 0;
  const auto* values = flat.const_data_ptr<float>();
  for (std::int64_t i = 0; i < flat.numel(); ++i) {
    const auto bits = static_cast<std::uint64_t>(std::int64_t{std::bit_cast<std::int32_t>(values[i])});
    sum += bits * static_cast<std::uint64_t>(2 * i + 1);
  }
  return std::bit_cast<std::int64_t>(sum);
}

}  // namespace

TEST(ReplicaCheck, ChecksumIsThatOfTheDefinition) {
  for (const std::int64_t size : {0, 1, 1000, (1 << 18) - 1, (1 << 19) + 3}) {
    const at::Tensor values = at::rand({size}).sub_(0.5);
    EXPECT_EQ(checksum_of_bits(values), naive_checksum(values)) << size;
  }
}

TEST(ReplicaCheck, EveryBitOfEveryElementCounts) {
  const at::Tensor values = at::rand({50});
  auto* bits = static_cast<std::uint32_t*>(values.data_ptr());
  std::set<std::int64_t> seen{checksum_of_bits(values)};
  size_t expected = 1;
  for (int i = 0; i < 50; ++i) {
    for (int bit = 0; bit < 32; ++bit) {
      bits[i] ^= 1u << bit;
      seen.insert(checksum_of_bits(values));
      bits[i] ^= 1u << bit;
      ++expected;
    }
  }
  EXPECT_EQ(seen.size(), expected);
}

TEST(ReplicaCheck, NamesTheRanksThatDiffer) {
  EXPECT_EQ(name_odd_replicas({{5, "n1"}, {5, "n1"}, {5, "n2"}}), "");
  EXPECT_EQ(name_odd_replicas({{5, "n1"}, {6, "n1"}, {5, "n2"}}), "rank 1 on n1");
  EXPECT_EQ(name_odd_replicas({{4, "n1"}, {5, "n1"}, {5, "n2"}}), "rank 0 on n1");
  EXPECT_EQ(name_odd_replicas({{5, "n1"}, {4, "n2"}}), "rank 1 on n2");
  EXPECT_EQ(name_odd_replicas({{1, "a"}, {2, "b"}, {3, "c"}, {2, "d"}}), "rank 0 on a, rank 2 on c");
}

}  // namespace allreco::train
