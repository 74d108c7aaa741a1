// Control plane on 1, 2 and 4 ranks. Oracles are exact: every rank can compute what each other rank puts in.
#include "dist/session.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <new>
#include <numeric>
#include <stdexcept>

#include "core/check.h"
#include "core/random.h"
#include "dist/test_session.h"

namespace allreco::dist {
namespace {

std::string text_of(int rank) {
  return std::string(static_cast<size_t>(rank) * 100'003, static_cast<char>('a' + rank));
}

struct Thrown {
  std::string type = "nothing";
  std::string message;
  double seconds = 0;
};

Thrown together_throws(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  Thrown thrown;
  try {
    test_session().together("a test", work);
  } catch (const core::UserError& e) {
    thrown = {"UserError", e.what()};
  } catch (const core::Fault& e) {
    thrown = {"Fault", e.what()};
  }
  thrown.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return thrown;
}

}  // namespace

TEST(MpiSession, RanksAndNode) {
  Session& session = test_session();
  EXPECT_GE(session.rank(), 0);
  EXPECT_LT(session.rank(), session.world_size());
  EXPECT_EQ(session.local_rank(), session.rank());  // the tests run on one node
  EXPECT_EQ(session.local_size(), session.world_size());
  EXPECT_EQ(session.is_leader(), session.rank() == 0);
}

TEST(MpiSession, TextOfAnySizeGoesRound) {
  Session& session = test_session();
  const std::vector<std::string> texts = session.all_gather(text_of(session.rank()));
  ASSERT_EQ(std::ssize(texts), session.world_size());
  for (int rank = 0; rank < session.world_size(); ++rank) {
    EXPECT_EQ(texts[static_cast<size_t>(rank)], text_of(rank));
    EXPECT_EQ(session.broadcast(text_of(session.rank() + 1), rank), text_of(rank + 1));
  }
  EXPECT_EQ(session.broadcast(session.is_leader() ? "" : "not this"), "");
  for (const std::string& empty : session.all_gather("")) EXPECT_EQ(empty, "");
  EXPECT_THROW(session.broadcast("x", session.world_size()), core::Fault);
}

// Stands for texts beyond what MPI can count: 1 to 3 bytes of a rank at once, an uneven rest, ranks without any.
TEST(MpiSession, LargeTextsAndSumsGoInPieces) {
  Session& session = test_session();
  const auto text = [](int rank) { return text_of(rank).substr(0, static_cast<size_t>(rank) * 37); };
  for (const std::int64_t piece : {1, 7, 13}) {
    session.set_piece_bytes(piece);
    const std::vector<std::string> texts = session.all_gather(text(session.rank()));
    std::vector<double> sums{1.5, 2, 3, 4, static_cast<double>(session.rank())};
    session.all_sum(sums);
    for (int rank = 0; rank < session.world_size(); ++rank) {
      EXPECT_EQ(texts[static_cast<size_t>(rank)], text(rank));
      EXPECT_EQ(session.broadcast(text(session.rank() + 1), rank), text(rank + 1));
    }
    const double n = session.world_size();
    EXPECT_EQ(sums, (std::vector<double>{1.5 * n, 2 * n, 3 * n, 4 * n, n * (n - 1) / 2}));
  }
  session.set_piece_bytes(std::int64_t{1} << 28);
}

TEST(MpiSession, MaximumAndBarrier) {
  Session& session = test_session();
  EXPECT_EQ(session.all_max(-session.rank()), 0);
  const std::int64_t large = std::int64_t{1} << 60;
  EXPECT_EQ(session.all_max(large + session.rank()), large + session.world_size() - 1);
  session.barrier();
}

// Integers below 2^53 add exactly in double, in any order.
TEST(MpiSession, SumOfIntegersIsExact) {
  Session& session = test_session();
  std::vector<double> values(1000);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i) * (session.rank() + 1);
  session.all_sum(values);
  const double n = session.world_size();
  for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], static_cast<double>(i) * n * (n + 1) / 2);
  std::vector<double> none;
  session.all_sum(none);
  EXPECT_TRUE(none.empty());
}

// Numbers whose sum depends on the order: every rank and every repetition must still see the same bits.
TEST(MpiSession, SumHasTheSameBitsOnEveryRankAndEveryTime) {
  Session& session = test_session();
  core::RandomStream random(core::mix_key(5, {static_cast<std::uint64_t>(session.rank())}));
  std::vector<double> mine(20'000);
  for (double& value : mine) value = random.next_normal() * std::exp(20 * random.next_normal());
  std::string first;
  for (int repetition = 0; repetition < 3; ++repetition) {
    std::vector<double> values = mine;
    session.all_sum(values);
    const std::string bits(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(double));
    for (const std::string& other : session.all_gather(bits)) EXPECT_TRUE(other == bits);
    if (first.empty()) first = bits;
    EXPECT_TRUE(first == bits);
  }
}

TEST(MpiTogether, SuccessAndNesting) {
  Session& session = test_session();
  std::vector<double> sum{0};
  session.together("outer", [&] {
    session.together("inner", [&] { sum[0] = 1; });
    session.all_sum(sum);
  });
  EXPECT_EQ(sum[0], session.world_size());
}

TEST(MpiTogether, OneRanksErrorIsEveryRanksError) {
  Session& session = test_session();
  const int last = session.world_size() - 1;
  const std::string prefix = last == 0 ? "" : "rank " + std::to_string(last) + ": ";
  const Thrown user = together_throws([&] {
    if (session.rank() == last) core::user_error("no such file: x");
  });
  EXPECT_EQ(user.type, "UserError");
  EXPECT_EQ(user.message, prefix + "no such file: x");
  EXPECT_LT(user.seconds, 5);  // the timeout is 60
  const Thrown fault = together_throws([&] {
    if (session.rank() == last) core::fault("broken");
  });
  EXPECT_EQ(fault.type, "Fault");
  EXPECT_TRUE(fault.message.starts_with(prefix + "broken [")) << fault.message;
}

TEST(MpiTogether, LowestFailingRankSpeaksAndAFaultOutweighsUserErrors) {
  Session& session = test_session();
  if (session.world_size() == 1) {  // errors pass as they are
    EXPECT_THROW(session.together("a test", [] { throw std::out_of_range("as it is"); }), std::out_of_range);
    return;
  }
  const Thrown mixed = together_throws([&] {
    if (session.rank() == 1) core::user_error("mine");
    if (session.rank() + 1 == session.world_size()) throw std::runtime_error("of a library");
  });
  EXPECT_EQ(mixed.type, session.world_size() == 2 ? "UserError" : "Fault");
  EXPECT_EQ(mixed.message, "rank 1: mine");
  const Thrown foreign = together_throws([&] {
    if (session.rank() == 1) throw std::runtime_error("of a library");
  });
  EXPECT_EQ(foreign.type, "Fault");
  EXPECT_EQ(foreign.message, "rank 1: of a library");
}

TEST(MpiTogether, ARankWhoseMemoryRunsOutHasTheCommandsAdvice) {
  Session& session = test_session();
  if (session.world_size() == 1) {  // errors pass as they are, and main says what to do
    EXPECT_THROW(session.together("a test", [] { throw std::bad_alloc(); }), std::bad_alloc);
    return;
  }
  const auto run_out = [] { throw std::bad_alloc(); };
  EXPECT_EQ(together_throws(run_out).message.find("per_device_train_batch_size"), std::string::npos);
  session.set_memory_advice("Use a smaller batch_size");
  EXPECT_EQ(together_throws(run_out).message.substr(0, 41), "memory ran out. Use a smaller batch_size.");
  session.set_memory_advice("");
}

TEST(MpiTogether, AlikeOnAllRanksSaysItOnce) {
  const Thrown thrown = together_throws([] { core::user_error("the same everywhere"); });
  EXPECT_EQ(thrown.type, "UserError");
  EXPECT_EQ(thrown.message, "the same everywhere");
}

TEST(MpiTogether, TheSessionGoesOnAfterAnAgreedError) {
  Session& session = test_session();
  together_throws([&] {
    if (session.rank() == 0) core::fault("once");
  });
  EXPECT_EQ(session.all_max(session.rank()), session.world_size() - 1);
}

}  // namespace allreco::dist
