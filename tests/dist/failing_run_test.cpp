// Runs under mpirun that must end by themselves, soon, with an exit code and a message that names who and where.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>

namespace allreco::dist {
namespace {

struct Ended {
  std::string output;
  int exit_code = -1;
  double seconds = 0;
};

Ended run(int ranks, const std::string& scenario) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  const std::string command = std::string(ALLRECO_MPIEXEC) + " --oversubscribe --bind-to none -n " +
                              std::to_string(ranks) + " '" + self + "' --scenario=" + scenario + " 2>&1";
  const auto begin = std::chrono::steady_clock::now();
  Ended ended;
  FILE* pipe = ::popen(command.c_str(), "r");
  std::array<char, 4096> part;
  while (const size_t size = std::fread(part.data(), 1, part.size(), pipe)) ended.output.append(part.data(), size);
  ended.exit_code = WEXITSTATUS(::pclose(pipe));
  ended.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return ended;
}

std::string this_host() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

bool says(const Ended& ended, const std::string& text) { return ended.output.find(text) != std::string::npos; }

/// The timeout is 2 s, the answers are due 0.5 s later; start, abort and a loaded machine get the rest.
void expect_timeout(const Ended& ended, int missing, const std::string& place) {
  EXPECT_EQ(ended.exit_code, 1) << ended.output;
  EXPECT_LT(ended.seconds, 20) << ended.output;
  EXPECT_TRUE(
      says(ended, "all_sum (step 8, phase summing gradients) waited longer than 2 s: 1 of 3 ranks missing; rank " +
                      std::to_string(missing) + " on " + this_host()))
      << ended.output;
  EXPECT_TRUE(says(ended, place)) << ended.output;
}

}  // namespace

TEST(FailingRun, NamesARankThatSleeps) {
  expect_timeout(run(3, "rank-1-sleeps"), 1, "s ago entering step 8, phase reading samples");
}

TEST(FailingRun, NamesRankZeroToo) {
  expect_timeout(run(3, "rank-0-sleeps"), 0, "s ago entering step 8, phase reading samples");
}

TEST(FailingRun, NamesAStoppedProcess) {
  expect_timeout(run(3, "rank-2-stops"), 2, "s ago entering step 8, phase reading samples");
}

TEST(FailingRun, TellsABusyRankFromADeadOne) {
  const Ended ended = run(3, "rank-1-is-busy");
  expect_timeout(ended, 1, "is alive but busy");
  EXPECT_TRUE(says(ended, "phase endless evaluation")) << ended.output;
}

TEST(FailingRun, TellsDifferentCollectivesFromAMissingRank) {
  const Ended ended = run(3, "rank-1-elsewhere");
  EXPECT_EQ(ended.exit_code, 1);
  EXPECT_TRUE(says(ended, "no rank is missing, but they wait in different collectives")) << ended.output;
  EXPECT_TRUE(says(ended, "2 of 3 ranks in barrier")) << ended.output;
  EXPECT_TRUE(says(ended, "1 of 3 ranks in all_reduce_sum")) << ended.output;
}

// The timeout is 60 s: the others must be called out of the collective, not wait for it.
TEST(FailingRun, ARanksErrorCallsTheOthersOutOfACollective) {
  for (const char* scenario : {"rank-1-fails", "rank-1-fails-nested"}) {
    const Ended ended = run(3, scenario);
    EXPECT_EQ(ended.exit_code, 2) << ended.output;
    EXPECT_LT(ended.seconds, 20) << ended.output;
    EXPECT_TRUE(says(ended, "rank 1: the disk of this node is full")) << ended.output;
  }
}

TEST(FailingRun, AHealthyRunEndsWithZero) {
  const Ended ended = run(3, "healthy");
  EXPECT_EQ(ended.exit_code, 0) << ended.output;
  EXPECT_EQ(ended.output, "");
}

}  // namespace allreco::dist
