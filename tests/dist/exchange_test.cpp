// Exchanges on 1, 2 and 4 ranks. Every rank can compute what each other one puts in.
#include "dist/exchange.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "core/check.h"
#include "dist/test_session.h"

namespace allreco::dist {
namespace {

/// From rank `from` to rank `to`; of some pairs nothing.
std::string text_of(int from, int to, int round) {
  return std::string(static_cast<std::size_t>((from * 7 + to * 3 + round) % 5) * 30'011,
                     static_cast<char>('a' + from * 4 + to));
}

}  // namespace

TEST(MpiExchange, EachRankGetsWhatIsMeantForIt) {
  Session& session = test_session();
  Exchange exchange(session);
  for (int round = 0; round < 10; ++round) {
    std::vector<std::string> texts;
    for (int to = 0; to < session.world_size(); ++to) texts.push_back(text_of(session.rank(), to, round));
    const std::vector<std::string> received = exchange.all_to_all(texts);
    ASSERT_EQ(std::ssize(received), session.world_size());
    for (int from = 0; from < session.world_size(); ++from)
      EXPECT_TRUE(received[static_cast<std::size_t>(from)] == text_of(from, session.rank(), round)) << from;
  }
}

TEST(MpiExchange, NothingToSendIsNothingReceived) {
  Exchange exchange(test_session());
  for (const std::string& text :
       exchange.all_to_all(std::vector<std::string>(static_cast<std::size_t>(test_session().world_size()))))
    EXPECT_EQ(text, "");
}

TEST(MpiExchange, WholeNumbersAreJoinedExactly) {
  Session& session = test_session();
  Exchange exchange(session);
  constexpr std::int64_t kLarge = (std::int64_t{1} << 55) + 1;  // a double has no such number
  const std::int64_t rank = session.rank(), size = session.world_size();
  std::vector<std::int64_t> sum{kLarge + rank, -rank}, least = sum, most = sum;
  exchange.all_reduce(sum, Reduction::sum);
  exchange.all_reduce(least, Reduction::minimum);
  exchange.all_reduce(most, Reduction::maximum);
  EXPECT_EQ(sum, (std::vector<std::int64_t>{size * kLarge + size * (size - 1) / 2, -size * (size - 1) / 2}));
  EXPECT_EQ(least, (std::vector<std::int64_t>{kLarge, 1 - size}));
  EXPECT_EQ(most, (std::vector<std::int64_t>{kLarge + size - 1, 0}));
}

}  // namespace allreco::dist
