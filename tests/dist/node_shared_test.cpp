// One buffer a node, on 1, 2 and 4 ranks that are grouped into one or several nodes. Oracles: exact numbers, and the
// kernel's own list of mappings.
#include "dist/node_shared.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "core/check.h"
#include "core/memory.h"
#include "dist/test_session.h"

namespace allreco::dist {
namespace {

constexpr std::int64_t kNumBytes = (std::int64_t{70} << 20) + 24;  // more than a piece, and no multiple of one

/// This process's mapping of the tensor as the kernel lists it.
struct Mapping {
  std::string permissions;
  unsigned long inode = 0;
};
Mapping mapping_of(const at::Tensor& tensor) {
  const auto address = reinterpret_cast<std::uintptr_t>(tensor.const_data_ptr());
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t begin = 0, end = 0;
    char permissions[5] = "";
    unsigned long inode = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx %4s %*s %*s %lu", &begin, &end, permissions, &inode) == 4 &&
        begin <= address && address < end)
      return {permissions, inode};
  }
  return {};
}

/// Ranks a node: all of them, then half, and so on.
std::vector<int> groupings() {
  std::vector<int> sizes;
  for (int size = test_session().world_size(); size >= 1; size /= 2) sizes.push_back(size);
  return sizes;
}

}  // namespace

TEST(MpiNodeGroups, TheMachineIsOneNode) {
  const NodeGroups nodes(test_session());
  EXPECT_EQ(nodes.num_nodes(), 1);
  EXPECT_EQ(nodes.leader(), 0);
  EXPECT_EQ(nodes.is_leader(), test_session().rank() == 0);
}

TEST(MpiNodeGroups, LeadersAreTheLowestRanks) {
  Session& session = test_session();
  for (const int ranks_per_node : groupings()) {
    const NodeGroups nodes(session, 7 + session.rank() / ranks_per_node);
    EXPECT_EQ(nodes.num_nodes(), session.world_size() / ranks_per_node);
    EXPECT_EQ(nodes.leader(), session.rank() / ranks_per_node * ranks_per_node);
  }
  const NodeGroups dealt(session, session.rank() % 2);  // ranks of a node need not follow one another
  EXPECT_EQ(dealt.leader(), session.rank() % 2);
}

TEST(MpiNodeShared, EveryRankReadsWhatRankZeroWroteFromOneReadOnlyCopyPerNode) {
  Session& session = test_session();
  const at::Tensor numbers = at::arange(kNumBytes / 8, at::kLong);
  for (const int ranks_per_node : groupings()) {
    const int node = session.rank() / ranks_per_node;
    const NodeGroups nodes(session, node);
    NodeShared shared(session, nodes, kNumBytes);
    const at::Tensor whole = shared.view(0, {kNumBytes / 8}, at::kLong);
    if (session.rank() == 0) whole.copy_(numbers);
    nodes.broadcast_to_leaders(whole);
    shared.publish();
    EXPECT_TRUE(at::equal(whole, numbers));
    EXPECT_EQ(shared.view(8 * 1000, {2, 3}, at::kLong).const_data_ptr<std::int64_t>()[5], 1005);

    const Mapping mine = mapping_of(whole);
    EXPECT_EQ(mine.permissions, "r--s");
    const auto inodes = session.all_gather(std::to_string(mine.inode));
    for (int rank = 0; rank < session.world_size(); ++rank)
      EXPECT_EQ(inodes[static_cast<size_t>(rank)] == std::to_string(mine.inode), rank / ranks_per_node == node);
  }
}

TEST(MpiNodeShared, ATensorOutlivesItsBuffer) {
  Session& session = test_session();
  at::Tensor tensor;
  {
    const NodeGroups nodes(session);
    NodeShared shared(session, nodes, 4096);
    tensor = shared.view(64, {5}, at::kInt);
    if (nodes.is_leader()) tensor.fill_(3);
    shared.publish();
  }
  EXPECT_TRUE(at::equal(tensor, at::full({5}, 3, at::kInt)));
}

// Nothing may be allocated for it: the kernel would kill other programs before the allocation failed.
TEST(MpiNodeShared, TooLargeIsTheSameErrorEverywhereAndTakesNothing) {
  Session& session = test_session();
  ASSERT_LT(core::available_memory_bytes(), std::int64_t{1} << 60) << "the check that this test relies on";
  const NodeGroups nodes(session);
  EXPECT_THROW(NodeShared(session, nodes, std::int64_t{1} << 60), core::UserError);
  EXPECT_THROW(NodeShared(session, nodes, 0), core::Fault);
}

}  // namespace allreco::dist
