#include "cli/runtime.h"

#include <gtest/gtest.h>

#include "core/check.h"

namespace allreco::cli {
namespace {

std::vector<std::int64_t> threads_of_all(const std::vector<Placement>& ranks) {
  std::vector<std::int64_t> threads;
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) threads.push_back(fair_threads(ranks, rank));
  return threads;
}

using Threads = std::vector<std::int64_t>;

}  // namespace

TEST(Threads, UnboundRanksShareTheirNode) {
  const std::vector<int> all{0, 1, 2, 3, 4, 5};
  EXPECT_EQ(threads_of_all({{"a", all}}), Threads{6});
  EXPECT_EQ(threads_of_all({{"a", all}, {"a", all}}), (Threads{3, 3}));
  EXPECT_EQ(threads_of_all({{"a", all}, {"a", all}, {"a", all}}), (Threads{2, 2, 2})) << "three thirds are one";
  EXPECT_EQ(threads_of_all({{"a", all}, {"a", all}, {"a", all}, {"a", all}}), (Threads{1, 1, 1, 1}));
  EXPECT_EQ(threads_of_all({{"a", {0}}, {"a", {0}}}), (Threads{1, 1})) << "more ranks than cores";
}

TEST(Threads, BoundRanksUseAllOfTheirOwnCores) {
  EXPECT_EQ(threads_of_all({{"a", {0, 1, 2}}, {"a", {3, 4, 5}}}), (Threads{3, 3}));
  EXPECT_EQ(threads_of_all({{"a", {0, 1}}, {"a", {0, 1}}, {"a", {2, 3}}, {"a", {2, 3}}}), (Threads{1, 1, 1, 1}))
      << "bound to sockets, two on each";
  EXPECT_EQ(threads_of_all({{"a", {0, 1, 2, 3}}, {"a", {2, 3}}}), (Threads{3, 1})) << "what overlaps is shared";
}

TEST(Threads, NodesAreApart) {
  EXPECT_EQ(threads_of_all({{"a", {0, 1}}, {"b", {0, 1}}, {"b", {0, 1}}}), (Threads{2, 1, 1}));
}

TEST(Threads, OneThreadWhereTheCoresAreUnknown) { EXPECT_EQ(threads_of_all({{"a", {}}}), Threads{1}); }

TEST(Threads, TheEnvironmentNamesThem) {
  EXPECT_EQ(threads_of_environment(nullptr), std::nullopt);
  EXPECT_EQ(threads_of_environment(""), std::nullopt);
  EXPECT_EQ(threads_of_environment("12"), 12);
  EXPECT_EQ(threads_of_environment("4,2"), 4);
  for (const char* bad : {"0", "-1", "four", "4 "}) EXPECT_THROW(threads_of_environment(bad), core::UserError);
}

}  // namespace allreco::cli
