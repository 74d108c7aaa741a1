// Every data plane in one suite, see on_planes.h.
#include "dist/communicator.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "core/check.h"
#include "dist/on_planes.h"
#include "dist/test_session.h"

namespace allreco::dist {
namespace {

class CommunicatorOnPlane : public OnPlane {};

INSTANTIATE_TEST_SUITE_P(Mpi, CommunicatorOnPlane, every_plane(), name_of_plane);

}  // namespace

// rank r holds (r + 1) * (i mod 1000): sums stay below 2^24, where float32 is exact.
TEST_P(CommunicatorOnPlane, SumsOfIntegersAreExactInEveryDtype) {
  const std::int64_t n = plane().world_size();
  EXPECT_EQ(plane().rank(), test_session().rank());
  for (at::ScalarType type : {at::kFloat, at::kDouble, at::kLong}) {
    for (std::int64_t size : {0, 1, 257, 300'007}) {
      const at::Tensor base = at::arange(size, at::kLong).remainder(1000).to(type);
      at::Tensor values = base.mul(plane().rank() + 1).to(device());
      plane().all_reduce_sum(values);
      EXPECT_TRUE(at::equal(values.cpu(), base.mul(n * (n + 1) / 2))) << at::toString(type) << " " << size;
    }
  }
}

TEST_P(CommunicatorOnPlane, SlicesUnderWayAtOnceLeaveTheRestAlone) {
  at::Tensor buffer = at::full({1000}, 1.0, at::kFloat).to(device());
  auto first = plane().start_all_reduce_sum(buffer.slice(0, 100, 400));
  auto second = plane().start_all_reduce_sum(buffer.slice(0, 500, 501));
  while (!second->poll()) {
  }
  second->wait();
  first->wait();
  EXPECT_TRUE(first->poll());
  at::Tensor expected = at::full({1000}, 1.0, at::kFloat);
  expected.slice(0, 100, 400).fill_(plane().world_size());
  expected.slice(0, 500, 501).fill_(plane().world_size());
  EXPECT_TRUE(at::equal(buffer.cpu(), expected));
}

// Eight leaves with numbers of very different size, so that the order of the sum shows in the bits. Rank r holds the
// sum of its subtree; the expectation is the tree over all eight, added here.
TEST_P(CommunicatorOnPlane, TreeSumHasTheBitsOfTheTreeForEveryWorldSize) {
  constexpr std::int64_t kLeaves = 8, kSize = 100'003;
  std::vector<at::Tensor> leaves;
  for (std::int64_t i = 0; i < kLeaves; ++i)
    leaves.push_back(at::arange(kSize, at::kDouble)
                         .add(1.0 / (3.0 + static_cast<double>(i)))
                         .cos()
                         .mul(std::pow(10.0, i - 4))
                         .to(at::kFloat));
  const std::function<at::Tensor(std::int64_t, std::int64_t)> tree = [&](std::int64_t begin, std::int64_t end) {
    if (end - begin == 1) return leaves[static_cast<size_t>(begin)];
    const std::int64_t middle = (begin + end) / 2;
    return tree(begin, middle).add(tree(middle, end));
  };
  at::Tensor in_order = leaves[0];
  for (std::int64_t i = 1; i < kLeaves; ++i) in_order = in_order.add(leaves[static_cast<size_t>(i)]);
  ASSERT_FALSE(at::equal(in_order, tree(0, kLeaves)));  // the order does matter
  const std::int64_t share = kLeaves / plane().world_size();
  const at::Tensor mine = tree(plane().rank() * share, (plane().rank() + 1) * share).clone().to(device());
  const at::Tensor other = at::full({5}, plane().rank() + 1, at::kLong).to(device());
  auto first = plane().start_tree_sum(mine);
  auto second = plane().start_tree_sum(other);  // under way at once, and waited for in the other order
  second->wait();
  first->wait();
  EXPECT_TRUE(at::equal(mine.cpu(), tree(0, kLeaves)));
  EXPECT_EQ(other.cpu()[0].item<std::int64_t>(), plane().world_size() * (plane().world_size() + 1) / 2);
}

TEST_P(CommunicatorOnPlane, BroadcastOfAnyDtypeFromAnyRoot) {
  for (int root = 0; root < plane().world_size(); ++root) {
    for (at::ScalarType type : {at::kBFloat16, at::kByte, at::kBool, at::kDouble}) {
      const at::Tensor expected = at::arange(70'000, at::kLong).remainder(2).to(type);
      at::Tensor values = (plane().rank() == root ? expected.clone() : at::zeros({70'000}, type)).to(device());
      plane().broadcast(values, root);
      EXPECT_TRUE(at::equal(values.cpu(), expected)) << at::toString(type) << " from " << root;
    }
  }
}

// Stands for more than 2 GiB: pieces that end inside an element and at its end, and an uneven rest.
TEST_P(CommunicatorOnPlane, BroadcastGoesInPieces) {
  for (const std::int64_t piece : {3, 8, 1000}) {
    plane().set_piece_bytes(piece);
    for (int root = 0; root < plane().world_size(); ++root) {
      const at::Tensor expected = at::arange(126, at::kDouble).view({9, 14});
      at::Tensor values = (plane().rank() == root ? expected.clone() : at::zeros({9, 14}, at::kDouble)).to(device());
      plane().broadcast(values, root);
      EXPECT_TRUE(at::equal(values.cpu(), expected)) << "pieces of " << piece << " from " << root;
      at::Tensor scalar = at::full({}, plane().rank(), at::kLong).to(device());
      plane().broadcast(scalar, root);
      EXPECT_EQ(scalar.cpu().item<std::int64_t>(), root);
      plane().broadcast(at::empty({0, 3}, at::kFloat).to(device()), root);
    }
  }
  plane().set_piece_bytes(std::int64_t{1} << 28);
}

// What one rank alone does not even copy: three GiB, allocated but never touched.
TEST(Communicator, ALoneRankBroadcastsAnySize) {
  const auto alone = make_self_communicator();
  alone->broadcast(at::empty({std::int64_t{3} << 30}, at::kByte), 0);
}

// The large ones are allocated but never touched.
TEST_P(CommunicatorOnPlane, RefusesWhatItCannotDo) {
  const std::int64_t too_many = std::int64_t{1} << 31;
  EXPECT_THROW(plane().all_reduce_sum(at::zeros({4}, at::kBFloat16)), core::Fault);
  EXPECT_THROW(plane().all_reduce_sum(at::zeros({4, 4}, at::kFloat).t()), core::Fault);
  EXPECT_THROW(plane().all_reduce_sum({}), core::Fault);
  EXPECT_THROW(plane().all_reduce_sum(at::empty({too_many}, at::kFloat)), core::Fault);
  EXPECT_THROW(plane().broadcast(at::zeros({4}), plane().world_size()), core::Fault);
}

}  // namespace allreco::dist
