// `doctor` as a program on this machine, where it must find nothing to fix except what a test breaks.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cli/program.h"

namespace allreco::cli {
namespace {

using namespace testing;

bool contains(const Outcome& outcome, const std::string& text) {
  return outcome.output.find(text) != std::string::npos;
}

TEST(Doctor, ThisMachineCanWorkAloneAndUnderMpirun) {
  for (const int ranks : {0, 2}) {
    const auto outcome = run_program(ranks, fmt::format("doctor --model_name_or_path {} --output_dir {}",
                                                        source("examples/stories260k").string(), Scratch() / "new"));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
    EXPECT_TRUE(contains(outcome, "every element exact")) << outcome.output;
    EXPECT_TRUE(contains(outcome, "This can work.")) << outcome.output;
  }
}

TEST(Doctor, BrokenEnvironmentsEndWithCode2AndAdvice) {
  const auto interface = run_shell("NCCL_SOCKET_IFNAME=none0 " + program(0, "doctor"));
  EXPECT_EQ(interface.exit_code, 2) << interface.output;
  EXPECT_TRUE(contains(interface, "ERROR    NCCL_SOCKET_IFNAME")) << interface.output;
  EXPECT_TRUE(contains(interface, "-> unset NCCL_SOCKET_IFNAME")) << interface.output;

  const auto missing = run_program(2, "doctor --dataset /nonexistent --output_dir /proc/nothing");
  EXPECT_EQ(missing.exit_code, 2) << missing.output;
  EXPECT_TRUE(contains(missing, "/nonexistent is not a directory")) << missing.output;
  EXPECT_TRUE(contains(missing, "cannot write into /proc")) << missing.output;
}

}  // namespace
}  // namespace allreco::cli
