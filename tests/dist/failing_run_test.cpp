// Runs under mpirun that must end by themselves, soon, with an exit code and a message that names who and where.
#include "dist/failing_run.h"

#include <gtest/gtest.h>

#include <string>

#include "core/host.h"

namespace allreco::dist {
namespace {

/// The timeout is 2 s, the answers are due 0.5 s later; start, abort and a loaded machine get the rest.
void expect_timeout(const Ended& ended, int missing, const std::string& place) {
  EXPECT_EQ(ended.exit_code, 1) << ended.output;
  EXPECT_LT(ended.seconds, 20) << ended.output;
  EXPECT_TRUE(
      ended.says("all_sum (step 8, phase summing gradients) waited longer than 2 s: 1 of 3 ranks missing; rank " +
                 std::to_string(missing) + " on " + core::host_name()))
      << ended.output;
  EXPECT_TRUE(ended.says(place)) << ended.output;
}

}  // namespace

TEST(FailingRun, NamesARankThatSleeps) {
  expect_timeout(run_under_mpi(3, "rank-1-sleeps"), 1, "s ago entering step 8, phase reading samples");
}

TEST(FailingRun, NamesRankZeroToo) {
  expect_timeout(run_under_mpi(3, "rank-0-sleeps"), 0, "s ago entering step 8, phase reading samples");
}

TEST(FailingRun, NamesAStoppedProcess) {
  expect_timeout(run_under_mpi(3, "rank-2-stops"), 2, "s ago entering step 8, phase reading samples");
}

TEST(FailingRun, TellsABusyRankFromADeadOne) {
  const Ended ended = run_under_mpi(3, "rank-1-is-busy");
  expect_timeout(ended, 1, "is alive but busy");
  EXPECT_TRUE(ended.says("phase endless evaluation")) << ended.output;
}

TEST(FailingRun, TellsDifferentCollectivesFromAMissingRank) {
  const Ended ended = run_under_mpi(3, "rank-1-elsewhere");
  EXPECT_EQ(ended.exit_code, 1);
  EXPECT_TRUE(ended.says("no rank is missing, but they wait in different collectives")) << ended.output;
  EXPECT_TRUE(ended.says("2 of 3 ranks in barrier")) << ended.output;
  EXPECT_TRUE(ended.says("1 of 3 ranks in all_reduce_sum")) << ended.output;
}

// The timeout is 60 s: the others must be called out of the collective, not wait for it.
TEST(FailingRun, ARanksErrorCallsTheOthersOutOfACollective) {
  for (const char* scenario : {"rank-1-fails", "rank-1-fails-nested", "rank-1-fails-two-levels-deep"}) {
    const Ended ended = run_under_mpi(3, scenario);
    EXPECT_EQ(ended.exit_code, 2) << ended.output;
    EXPECT_LT(ended.seconds, 20) << ended.output;
    EXPECT_TRUE(ended.says("rank 1: the disk of this node is full")) << ended.output;
  }
}

// Nobody waits for it, and its main thread cannot look at a clock.
TEST(FailingRun, ALoneRankThatStallsEndsAndSaysWhere) {
  const Ended ended = run_under_mpi(1, "lone-rank-stalls");
  EXPECT_EQ(ended.exit_code, 1) << ended.output;
  EXPECT_LT(ended.seconds, 20) << ended.output;
  EXPECT_TRUE(ended.says("forward and backward of step 7 on rank 0 (" + core::host_name() + ") has come to no end"))
      << ended.output;
}

TEST(FailingRun, ALoneRankThatWorksInPiecesIsLeftAlone) {
  const Ended ended = run_under_mpi(1, "lone-rank-works");
  EXPECT_EQ(ended.exit_code, 0) << ended.output;
  EXPECT_EQ(ended.output, "");
}

TEST(FailingRun, AHealthyRunEndsWithZero) {
  const Ended ended = run_under_mpi(3, "healthy");
  EXPECT_EQ(ended.exit_code, 0) << ended.output;
  EXPECT_EQ(ended.output, "");
}

}  // namespace allreco::dist
