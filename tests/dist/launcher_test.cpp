#include "dist/launcher.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "core/check.h"
#include "support/message_of.h"

namespace allreco::dist {
namespace {

using Environment = std::map<std::string, std::string>;

Launch detect(const Environment& environment) {
  return detect_launch([&](const char* name) -> const char* {
    const auto it = environment.find(name);
    return it == environment.end() ? nullptr : it->second.c_str();
  });
}

// What each way of starting puts into the environment, as seen with SLURM 22.05 and Open MPI 4.1.
const Environment kPlainShell{};
const Environment kShellOfSbatch{
    {"SLURM_JOB_ID", "7"}, {"SLURM_PROCID", "0"}, {"SLURM_LOCALID", "0"}, {"SLURM_NTASKS", "4"}};
const Environment kSrunPmix{
    {"SLURM_PROCID", "3"}, {"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "4"}, {"PMIX_RANK", "3"}};
const Environment kSrunWithoutMpi{{"SLURM_PROCID", "3"}, {"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "4"}};
const Environment kSrunPty{{"SLURM_PROCID", "0"}, {"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "1"}};
const Environment kMpirun{{"OMPI_COMM_WORLD_SIZE", "2"}, {"PMIX_RANK", "1"}};
// The daemon on each node runs as a step of one task per node.
const Environment kMpirunInSbatch{{"OMPI_COMM_WORLD_SIZE", "8"},
                                  {"PMIX_RANK", "5"},
                                  {"SLURM_PROCID", "1"},
                                  {"SLURM_STEP_ID", "0"},
                                  {"SLURM_STEP_NUM_TASKS", "2"}};
const Environment kHydra{{"PMI_RANK", "0"}, {"PMI_SIZE", "4"}};

}  // namespace

TEST(Launcher, ALoneProcessStaysAwayFromMpi) {
  for (const Environment& environment : {kPlainShell, kShellOfSbatch, kSrunPty}) {
    EXPECT_FALSE(detect(environment).launched());
    EXPECT_NO_THROW(check_world_size(detect(environment), 1));
  }
}

TEST(Launcher, EveryLauncherIsSeenWithItsWorldSize) {
  const std::pair<Environment, int> launches[] = {{kSrunPmix, 4}, {kMpirun, 2}, {kMpirunInSbatch, 8}, {kHydra, 4}};
  for (const auto& [environment, world_size] : launches) {
    const Launch launch = detect(environment);
    EXPECT_TRUE(launch.launched());
    EXPECT_EQ(launch.world_size, world_size);
    EXPECT_NO_THROW(check_world_size(launch, world_size));
    EXPECT_THROW(check_world_size(launch, 1), core::UserError);  // it speaks to another MPI
  }
}

TEST(Launcher, SrunWithoutMpiIsAUserError) {
  EXPECT_NE(support::message_of([] { detect(kSrunWithoutMpi); }).find("--mpi=pmix"), std::string::npos);
}

}  // namespace allreco::dist
