#include "core/ordered_work.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

namespace allreco::core {

TEST(OrderedWorkTest, ResultsComeInTheOrderOfThePieces) {
  for (const int threads : {1, 3, 8}) {
    std::vector<int> taken;
    std::atomic<int> under_way{0}, most{0};
    OrderedWork<int, int> work(
        threads, 5,
        [&](int& piece) {
          const int now = ++under_way;
          for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
          }
          std::this_thread::sleep_for(std::chrono::microseconds(piece % 7 * 100));  // later pieces are done earlier
          --under_way;
          return piece * piece;
        },
        [&](int& result) { taken.push_back(result); });
    for (int i = 0; i < 200; ++i) {
      work.push(i);
      EXPECT_LE(i + 1 - std::ssize(taken), 5);
    }
    work.finish();
    ASSERT_EQ(taken.size(), 200u);
    for (int i = 0; i < 200; ++i) EXPECT_EQ(taken[static_cast<std::size_t>(i)], i * i);
    EXPECT_LE(most, threads);
  }
}

TEST(OrderedWorkTest, AFailureComesOutInItsPlace) {
  std::vector<int> taken;
  const auto run = [&] {
    OrderedWork<int, int> work(
        4, 8,
        [](int& piece) {
          if (piece == 20) throw std::runtime_error("piece 20");
          return piece;
        },
        [&](int& result) { taken.push_back(result); });
    for (int i = 0; i < 100; ++i) work.push(i);
    work.finish();
  };
  EXPECT_THROW(run(), std::runtime_error);
  ASSERT_EQ(taken.size(), 20u);
  EXPECT_EQ(taken.back(), 19);
}

}  // namespace allreco::core
