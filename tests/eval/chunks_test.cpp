#include "eval/chunks.h"

#include <gtest/gtest.h>

#include "core/check.h"
#include "eval/small_world.h"
#include "support/lone_session.h"

namespace allreco::eval {
namespace {

TEST(Share, ChunksCoverAllInOrderWithinTheirLimits) {
  const std::vector<std::int64_t> costs{3, 3, 3, 50, 1, 1, 1, 1, 9};
  const auto chunks =
      cut_into_chunks(std::ssize(costs), 10, 3, [&](std::int64_t i) { return costs[static_cast<std::size_t>(i)]; });
  // 3+3+3; 50 alone, though over the limit; three of cost 1 (at most 3 examples); 1+9.
  const std::vector<std::vector<std::int64_t>> expected{{0, 3, 9}, {3, 4, 50}, {4, 7, 3}, {7, 9, 10}};
  ASSERT_EQ(chunks.size(), expected.size());
  for (std::size_t c = 0; c < chunks.size(); ++c)
    EXPECT_EQ((std::vector<std::int64_t>{chunks[c].begin, chunks[c].end, chunks[c].cost}), expected[c]);
  EXPECT_TRUE(cut_into_chunks(0, 10, 3, [](std::int64_t) { return 1; }).empty());
}

TEST(Share, EveryChunkIsComputedOnceAndErrorsPass) {
  support::LoneSession one;
  const auto chunks = cut_into_chunks(100, 1, 1, [](std::int64_t) { return 1; });  // more than fit between two meetings
  std::vector<int> calls(chunks.size());
  for_each_chunk(one.get(), chunks, "test", [&](std::size_t c, const Chunk& chunk) {
    EXPECT_EQ(chunk.begin, static_cast<std::int64_t>(c));
    ++calls[c];
  });
  EXPECT_EQ(calls, std::vector<int>(100, 1));
  EXPECT_THROW(for_each_chunk(one.get(), chunks, "test", [](std::size_t, const Chunk&) { core::user_error("no"); }),
               core::UserError);
}

}  // namespace
}  // namespace allreco::eval
