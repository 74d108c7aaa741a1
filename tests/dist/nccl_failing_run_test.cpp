// Runs on the NCCL plane over the double in which rank 1 of 3 goes wrong: every rank must end, by itself, with an exit
// code that is not 0 and a message that names the rank. The double ends a process that breaks NCCL's rules, for example
// by aborting twice, with kRuleBroken.
#include <gtest/gtest.h>

#include <string>

#include "core/host.h"
#include "dist/failing_run.h"
#include "dist/nccl_double.h"

namespace allreco::dist {
namespace {

/// The timeout of a wait is 2 s, the answers are due 0.5 s later; start, abort and a loaded machine get the rest.
Ended run_that_fails(const std::string& scenario, int ranks = 3) {
  const Ended ended = run_under_mpi(ranks, scenario);
  EXPECT_EQ(ended.exit_code, 1) << ended.output;
  EXPECT_LT(ended.seconds, 60) << ended.output;
  EXPECT_FALSE(ended.says("broke NCCL's rules")) << ended.output;
  return ended;
}

void expect_all_were_told(const Ended& ended, const std::string& message, int ranks = 3) {
  for (int rank = 0; rank < ranks; ++rank)
    EXPECT_TRUE(ended.says("rank " + std::to_string(rank) + " was told: " + message)) << ended.output;
}

void expect_each_aborted_once(const Ended& ended, int ranks = 3) {
  for (int rank = 0; rank < ranks; ++rank)
    EXPECT_EQ(ended.count("double: rank " + std::to_string(rank) + " is aborted"), 1) << ended.output;
}

void expect_rank_one_missing(const Ended& ended, const std::string& place) {
  EXPECT_TRUE(ended.says("waited longer than 2 s: 1 of 3 ranks missing; rank 1 on " + core::host_name() + place))
      << ended.output;
}

}  // namespace

TEST(NcclFailingRun, AHealthyRunEndsWithZero) {
  const Ended ended = run_under_mpi(3, "nccl-healthy");
  EXPECT_EQ(ended.exit_code, 0) << ended.output;
  EXPECT_EQ(ended.output, "");
}

TEST(NcclFailingRun, AStartThatFailsOnOneRankIsEveryRanksError) {
  const Ended ended = run_that_fails("nccl-init-fails");
  expect_all_were_told(ended, "rank 1: NCCL failed in init: scripted error of rank 1");
  expect_each_aborted_once(ended);
}

TEST(NcclFailingRun, AStartThatFailsInTheBackgroundIsEveryRanksError) {
  const Ended ended = run_that_fails("nccl-init-fails-later");
  expect_all_were_told(ended, "rank 1: NCCL failed in the background: scripted error of rank 1");
  expect_each_aborted_once(ended);
}

TEST(NcclFailingRun, NamesARankThatIsStoppedInTheStart) {
  const Ended ended = run_that_fails("nccl-init-stops");
  expect_rank_one_missing(ended, " does not answer");
  EXPECT_TRUE(ended.says("phase starting NCCL")) << ended.output;
}

TEST(NcclFailingRun, AStartThatHangsEverywhereIsToldFromAMissingRank) {
  const Ended ended = run_that_fails("nccl-init-never-settles");
  EXPECT_TRUE(ended.says("no rank is missing: all 3 ranks wait in the same collective")) << ended.output;
  EXPECT_TRUE(ended.says("NCCL_SOCKET_IFNAME")) << ended.output;
}

TEST(NcclFailingRun, ASumThatFailsOnOneRankEndsAll) {
  const Ended ended = run_that_fails("nccl-sum-fails");
  expect_all_were_told(ended, "rank 1: NCCL failed in all_reduce_sum: scripted error of rank 1");
  expect_each_aborted_once(ended);
}

TEST(NcclFailingRun, OfSeveralRanksThatFailTheLowestIsNamed) {
  const Ended ended = run_that_fails("nccl-sum-fails-on-others");
  expect_all_were_told(ended, "rank 0: NCCL failed in all_reduce_sum: scripted error of rank 0");
  expect_each_aborted_once(ended);
}

TEST(NcclFailingRun, ASumThatFailsInTheBackgroundEndsAll) {
  const Ended ended = run_that_fails("nccl-sum-fails-later");
  expect_all_were_told(ended, "rank 1: NCCL failed in the background: scripted error of rank 1");
  expect_each_aborted_once(ended);
}

TEST(NcclFailingRun, ATreeSumThatFailsInTheMiddleEndsAll) {
  const Ended ended = run_that_fails("nccl-tree-fails", 4);
  expect_all_were_told(ended, "rank 1: NCCL failed in exchange: scripted error of rank 1", 4);
  expect_each_aborted_once(ended, 4);
}

// Call 4 is issued in backward of step 2, and the others reach their wait for it.
TEST(NcclFailingRun, NamesARankThatIsStoppedInACollective) {
  const Ended ended = run_that_fails("nccl-sum-stops");
  expect_rank_one_missing(ended, " does not answer");
  EXPECT_TRUE(ended.says("NCCL all_reduce_sum (step 2, phase summing gradients) waited")) << ended.output;
  EXPECT_TRUE(ended.says("entering step 2, phase forward and backward")) << ended.output;
}

TEST(NcclFailingRun, NamesARankWhoseGpuHangsBeforeACollective) {
  const Ended ended = run_that_fails("nccl-gpu-hangs");
  expect_rank_one_missing(ended, " waits for its own GPU, which has not come to NCCL all_reduce_sum");
  EXPECT_TRUE(ended.says("s in step 2, phase summing gradients")) << ended.output;
}

TEST(NcclFailingRun, ASumThatHangsEverywhereSaysWhatToDo) {
  const Ended ended = run_that_fails("nccl-sum-never-done");
  EXPECT_TRUE(ended.says("no rank is missing: all 3 ranks wait in the same collective")) << ended.output;
  EXPECT_TRUE(ended.says("NCCL_DEBUG=INFO")) << ended.output;
  EXPECT_FALSE(ended.says("a defect in the program")) << ended.output;
}

// ncclCommAbort may block; the log must not wait for it.
TEST(NcclFailingRun, TheReasonIsLoggedBeforeTheAbort) {
  const Ended ended = run_that_fails("nccl-sum-stops");
  const size_t reason = ended.output.find("aborting NCCL: NCCL all_reduce_sum (step 2");
  const size_t abort = ended.output.find("is aborted");
  ASSERT_NE(reason, std::string::npos) << ended.output;
  ASSERT_NE(abort, std::string::npos) << ended.output;
  EXPECT_LT(reason, abort) << ended.output;
}

TEST(NcclFailingRun, AnEndThatFailsEndsAll) {
  const Ended ended = run_that_fails("nccl-finalize-fails");
  EXPECT_TRUE(ended.says("aborting NCCL: NCCL failed in finalize: scripted error of rank 1")) << ended.output;
}

TEST(NcclFailingRun, AnEndThatHangsEndsAll) {
  const Ended ended = run_that_fails("nccl-finalize-hangs");
  EXPECT_TRUE(ended.says("1 of 3 ranks in ending NCCL")) << ended.output;
  EXPECT_TRUE(ended.says("the first being rank 1 on " + core::host_name())) << ended.output;
  EXPECT_FALSE(ended.says("(a defect in the program)")) << ended.output;
}

TEST(NcclFailingRun, AnAbortThatHangsDoesNotHoldTheRun) {
  const Ended ended = run_that_fails("nccl-abort-hangs");
  EXPECT_TRUE(
      ended.says("NCCL did not abort within 10 s, going on without it; the reason to abort was: NCCL failed in "
                 "all_reduce_sum: scripted error of rank 1"))
      << ended.output;
}

}  // namespace allreco::dist
