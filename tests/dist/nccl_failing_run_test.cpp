// Runs on the NCCL plane over the double in which rank 1 of 3 goes wrong: every rank must end, by itself, with an exit
// code that is not 0 and a message that names the rank. The double ends a process that breaks NCCL's rules, for example
// by aborting twice, with kRuleBroken.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

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

/// A run of the table below, by what it shows.
struct Failure {
  const char* name;
  const char* scenario;
  std::vector<std::string> messages;
  int ranks = 3;
};
void PrintTo(const Failure& failure, std::ostream* out) { *out << failure.scenario; }
using Failures = ::testing::TestWithParam<Failure>;
std::string name_of(const ::testing::TestParamInfo<Failure>& info) { return info.param.name; }

/// How the missing rank is introduced.
std::string rank_one() { return "waited longer than 2 s: 1 of 3 ranks missing; rank 1 on " + core::host_name(); }

}  // namespace

TEST(NcclFailingRun, AHealthyRunEndsWithZero) {
  const Ended ended = run_under_mpi(3, "nccl-healthy");
  EXPECT_EQ(ended.exit_code, 0) << ended.output;
  EXPECT_EQ(ended.output, "");
}

// ---- an error on one rank: every rank is told the same ----

class NcclError : public Failures {};

TEST_P(NcclError, IsToldToEveryRankAndEachAbortsOnce) {
  const auto& [name, scenario, messages, ranks] = GetParam();
  const Ended ended = run_that_fails(scenario, ranks);
  for (int rank = 0; rank < ranks; ++rank) {
    for (const std::string& message : messages)
      EXPECT_TRUE(ended.says(fmt::format("rank {} was told: {}", rank, message))) << ended.output;
    EXPECT_EQ(ended.count(fmt::format("double: rank {} is aborted", rank)), 1) << ended.output;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Of, NcclError,
    ::testing::Values(
        Failure{"AStart", "nccl-init-fails", {"rank 1: NCCL failed in init: scripted error of rank 1"}},
        Failure{"AStartInTheBackground",
                "nccl-init-fails-later",
                {"rank 1: NCCL failed in the background: scripted error of rank 1"}},
        Failure{"ASum", "nccl-sum-fails", {"rank 1: NCCL failed in all_reduce_sum: scripted error of rank 1"}},
        Failure{"SeveralRanksNamesTheLowest",
                "nccl-sum-fails-on-others",
                {"rank 0: NCCL failed in all_reduce_sum: scripted error of rank 0"}},
        Failure{"ASumInTheBackground",
                "nccl-sum-fails-later",
                {"rank 1: NCCL failed in the background: scripted error of rank 1"}},
        Failure{"ATreeSumInTheMiddle",
                "nccl-tree-fails",
                {"rank 1: NCCL failed in exchange: scripted error of rank 1"},
                4}),
    name_of);

// ---- a run that comes to no end by itself, or not in order: somebody says who or what ----

class NcclHang : public Failures {};

TEST_P(NcclHang, EndsTheRunWithAMessage) {
  const auto& [name, scenario, messages, ranks] = GetParam();
  const Ended ended = run_that_fails(scenario, ranks);
  for (const std::string& message : messages) EXPECT_TRUE(ended.says(message)) << message << "\n" << ended.output;
  EXPECT_FALSE(ended.says("(a defect in the program)")) << ended.output;
}

// Call 4 of the sums is issued in backward of step 2, and the others reach their wait for it.
INSTANTIATE_TEST_SUITE_P(
    Of, NcclHang,
    ::testing::Values(
        Failure{"ARankStoppedInTheStart", "nccl-init-stops", {rank_one() + " does not answer", "phase starting NCCL"}},
        Failure{"TheStartOnAllRanks",
                "nccl-init-never-settles",
                {"no rank is missing: all 3 ranks wait in the same collective", "NCCL_SOCKET_IFNAME"}},
        Failure{"ARankStoppedInACollective",
                "nccl-sum-stops",
                {rank_one() + " does not answer", "NCCL all_reduce_sum (step 2, phase summing gradients) waited",
                 "entering step 2, phase forward and backward"}},
        Failure{"AGpuBeforeACollective",
                "nccl-gpu-hangs",
                {rank_one() + " waits for its own GPU, which has not come to NCCL all_reduce_sum",
                 "s in step 2, phase summing gradients"}},
        Failure{"ASumOnAllRanks",
                "nccl-sum-never-done",
                {"no rank is missing: all 3 ranks wait in the same collective", "NCCL_DEBUG=INFO"}},
        Failure{"AnEndThatFails",
                "nccl-finalize-fails",
                {"aborting NCCL: NCCL failed in finalize: scripted error of rank 1"}},
        Failure{"AnEnd",
                "nccl-finalize-hangs",
                {"1 of 3 ranks in ending NCCL", "the first being rank 1 on " + core::host_name()}},
        Failure{"AnAbort",
                "nccl-abort-hangs",
                {"NCCL did not abort within 10 s, going on without it; the reason to abort was: NCCL failed in "
                 "all_reduce_sum: scripted error of rank 1"}}),
    name_of);

// ncclCommAbort may block; the log must not wait for it.
TEST(NcclFailingRun, TheReasonIsLoggedBeforeTheAbort) {
  const Ended ended = run_that_fails("nccl-sum-stops");
  const size_t reason = ended.output.find("aborting NCCL: NCCL all_reduce_sum (step 2");
  const size_t abort = ended.output.find("is aborted");
  ASSERT_NE(reason, std::string::npos) << ended.output;
  ASSERT_NE(abort, std::string::npos) << ended.output;
  EXPECT_LT(reason, abort) << ended.output;
}

}  // namespace allreco::dist
