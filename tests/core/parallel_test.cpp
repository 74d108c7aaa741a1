#include "core/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

namespace allreco::core {
namespace {

TEST(ParallelFor, EveryIndexOnceInConsecutiveParts) {
  for (const std::int64_t count : {0, 1, 2, 7, 1000}) {
    for (const std::int64_t threads : {1, 2, 3, 16}) {
      std::vector<std::atomic<int>> times(static_cast<std::size_t>(count));
      std::atomic<int> parts = 0;
      parallel_for(count, threads, [&](std::int64_t begin, std::int64_t end) {
        ++parts;
        for (std::int64_t i = begin; i < end; ++i) ++times[static_cast<std::size_t>(i)];
      });
      EXPECT_EQ(parts, std::min(count, threads));
      for (const auto& n : times) EXPECT_EQ(n, 1);
    }
  }
}

/// Each part waits for the others, so they must be under way at once.
TEST(ParallelFor, PartsRunAtTheSameTime) {
  std::atomic<int> begun = 0;
  parallel_for(3, 3, [&](std::int64_t, std::int64_t) {
    ++begun;
    while (begun < 3) std::this_thread::yield();
  });
  EXPECT_EQ(begun, 3);
}

TEST(ParallelFor, TheFirstPartsFailureIsThrownWhenAllHaveEnded) {
  std::atomic<int> ended = 0;
  const auto work = [&](std::int64_t begin, std::int64_t) {
    ++ended;
    if (begin > 0) throw std::runtime_error(begin == 1 ? "first" : "second");
  };
  try {
    parallel_for(3, 3, work);
    FAIL() << "nothing was thrown";
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "first");
  }
  EXPECT_EQ(ended, 3);
}

}  // namespace
}  // namespace allreco::core
