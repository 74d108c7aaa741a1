// What real runs cannot be made to show soon or surely; those are in failing_run_test.cpp.
#include "dist/hang_report.h"

#include <gtest/gtest.h>

#include <cstdio>

namespace allreco::dist {
namespace {

ControlMessage waiting_in(const char* operation, std::int64_t num_calls) {
  ControlMessage at{.step = 8, .num_calls = num_calls, .phase_since = 90, .waits_for = ControlMessage::WaitsFor::ranks};
  std::snprintf(at.operation, sizeof at.operation, "%s", operation);
  std::snprintf(at.phase, sizeof at.phase, "summing gradients");
  return at;
}

Hang hang_of(int num_ranks) {
  return {.operation = "all_sum",
          .if_all_wait = "the network hangs",
          .timeout_seconds = 600,
          .now = 100,
          .rank = 0,
          .answers = {{0, waiting_in("all_sum", 5)}},
          .last_seen = {},
          .hosts = std::vector<std::string>(static_cast<size_t>(num_ranks), "n1")};
}

const std::string kWaited = "all_sum (step 8, phase summing gradients) waited longer than 600 s: ";
const std::string kAdvice =
    ". If this only needed longer, raise ddp_timeout; otherwise see docs/distributed.md, \"A hang\"";

}  // namespace

TEST(HangReport, ARankThatWasNeverHeardOf) {
  Hang hang = hang_of(2);
  hang.hosts[1] = "n2";
  EXPECT_EQ(describe(hang),
            kWaited + "1 of 2 ranks missing; rank 1 on n2 does not answer and was never heard of" + kAdvice);
}

TEST(HangReport, OfManyRanksEightAreNamed) {
  Hang hang = hang_of(64);
  std::string expected = kWaited + "63 of 64 ranks missing";
  for (int rank = 1; rank <= 8; ++rank) {
    hang.last_seen[rank] = {.rank = rank, .step = 7, .phase_since = 40, .phase = "reading samples"};
    expected += "; rank " + std::to_string(rank) +
                " on n1 does not answer, last heard of 60.0 s ago entering step 7, phase reading samples";
  }
  EXPECT_EQ(describe(hang), expected + "; and 55 more" + kAdvice);
}

// Rank 2 has left the collective that the others wait in, and waits in the next of the same name.
TEST(HangReport, RanksThatACollectiveLetGo) {
  Hang hang = hang_of(3);
  hang.answers[1] = waiting_in("all_sum", 5);
  hang.answers[2] = waiting_in("all_sum", 6);
  EXPECT_EQ(describe(hang), kWaited +
                                "no rank is missing, but they wait in different collectives (those behind are stuck in "
                                "MPI, NCCL or the network, or it is a defect in the program): 2 of 3 ranks in all_sum "
                                "(collective 5, step 8, phase summing gradients), the first being rank 0 on n1; 1 of 3 "
                                "ranks in all_sum (collective 6, step 8, phase summing gradients), the first being "
                                "rank 2 on n1");
}

}  // namespace allreco::dist
