#include "dist/gpu_placement.h"

#include <gtest/gtest.h>

#include "core/check.h"
#include "dist/test_session.h"
#include "support/message_of.h"

namespace allreco::dist {
namespace {

GpuPlace gpu(const std::string& host, const std::string& machine, int index) {
  return {host, machine, {"GPU-uuid-" + machine + std::to_string(index), "0000:0" + std::to_string(index) + ":00.0"}};
}
GpuPlace gpu(const std::string& host, int index) { return gpu(host, host, index); }

GpuPlace cpu(const std::string& host) { return {host, host, {}}; }

std::string refusal(const std::vector<GpuPlace>& places, bool allow_gpu_sharing) {
  return support::message_of([&] { judge_gpu_placement(places, allow_gpu_sharing); });
}

bool is_in(const std::string& part, const std::string& whole) { return whole.find(part) != std::string::npos; }

using PlacesOnGpus = std::vector<int>;

}  // namespace

// Whether a rank sees all GPUs of its node or only its own, it is the GPU that counts, not its index.
TEST(GpuPlacement, OneRankPerGpuIsRight) {
  EXPECT_EQ(judge_gpu_placement({gpu("n1", 0), gpu("n1", 1), gpu("n2", 0), gpu("n2", 1)}, false), PlacesOnGpus(4, 0));
  EXPECT_EQ(judge_gpu_placement({gpu("n1", 0)}, false), PlacesOnGpus{0});
}

TEST(GpuPlacement, AllOnTheCpuIsRight) {
  EXPECT_EQ(judge_gpu_placement({cpu("n1"), cpu("n1"), cpu("n2")}, false), PlacesOnGpus(3, 0));
}

// The same bus id on another host is another GPU.
TEST(GpuPlacement, SharingIsRefusedNamingRanksGpuAndHost) {
  const std::vector<GpuPlace> places{gpu("n1", 0), gpu("n2", 0), gpu("n2", 1), gpu("n2", 0)};
  const std::string message = refusal(places, false);
  EXPECT_TRUE(is_in("ranks 1, 3 share the GPU GPU-uuid-n20 (PCI 0000:00:00.0) of n2", message)) << message;
  EXPECT_TRUE(is_in("allow_gpu_sharing = true", message)) << message;
}

// NCCL, which compares host names too, would not notice.
TEST(GpuPlacement, ContainersOfOneMachineShareItsGpus) {
  const std::string message = refusal({gpu("c1", "m1", 0), gpu("c2", "m1", 1), gpu("c3", "m1", 0)}, false);
  EXPECT_TRUE(is_in("ranks 0, 2 share the GPU GPU-uuid-m10 (PCI 0000:00:00.0) of c1", message)) << message;
}

TEST(GpuPlacement, ContainersOfOneNameOnTwoMachinesShareNothing) {
  EXPECT_EQ(judge_gpu_placement({gpu("box", "m1", 0), gpu("box", "m2", 0)}, false), PlacesOnGpus(2, 0));
}

TEST(GpuPlacement, SharingThatIsAllowedCountsTheRanksOfEachGpu) {
  const std::vector<GpuPlace> places{gpu("n1", 0), gpu("n1", 1), gpu("n1", 0),
                                     gpu("n1", 1), gpu("n1", 0), gpu("n2", 0)};
  EXPECT_EQ(judge_gpu_placement(places, true), (PlacesOnGpus{0, 0, 1, 1, 2, 0}));
}

TEST(GpuPlacement, ARankWithoutAGpuAmongOthersIsRefused) {
  for (const bool allow : {false, true}) {
    const std::string message = refusal({gpu("n1", 0), cpu("n2"), gpu("n1", 1), cpu("n3")}, allow);
    EXPECT_TRUE(is_in("ranks 0, 2 would compute on a GPU, but ranks 1, 3 (the first on n2) on the CPU", message))
        << message;
  }
}

TEST(GpuPlacement, ManyRanksAreCountedNotListed) {
  const std::string message = refusal(std::vector<GpuPlace>(20, gpu("n1", 0)), false);
  EXPECT_TRUE(is_in("ranks 0, 1, 2, 3, 4, 5, 6, 7 and 12 more share", message)) << message;
}

// Ranks on CPUs need no NCCL.
TEST(GpuPlacement, SaysWhichGpusStayIdle) {
  const auto of = [](std::vector<GpuPlace> places, int num_gpus) {
    for (GpuPlace& place : places) place.num_gpus = num_gpus;
    return describe_unused_gpus(places);
  };
  EXPECT_EQ(of({cpu("n1"), cpu("n1")}, 0), "");
  EXPECT_EQ(of({gpu("n1", 0), gpu("n1", 1)}, 2), "");
  EXPECT_EQ(of({gpu("n1", 0), gpu("n1", 0)}, 1), "");                // shared
  EXPECT_EQ(of({gpu("n1", 0), gpu("n1", 1), gpu("n1", 2)}, 1), "");  // a scheduler shows each rank its own only
  const std::string on_cpus = of({cpu("n1"), cpu("n1"), cpu("n2")}, 4);
  EXPECT_TRUE(is_in("GPUs stay idle: 4 of 4 on n1, 4 of 4 on n2", on_cpus)) << on_cpus;
  EXPECT_TRUE(is_in("launch/build.sh cuda", on_cpus)) << on_cpus;
  EXPECT_TRUE(is_in("device = cpu", on_cpus)) << on_cpus;
  const std::string too_few = of({gpu("n1", 0), gpu("n1", 3), gpu("n2", 0)}, 4);
  EXPECT_TRUE(is_in("2 of 4 on n1, 3 of 4 on n2; start one rank per GPU", too_few)) << too_few;
}

TEST(MpiGpuPlacement, GoesRoundAndLeavesCpuRanksAlone) {
  check_gpu_placement(test_session(), c10::DeviceType::CPU, false);
  EXPECT_EQ(std::getenv("NCCL_HOSTID"), nullptr);
}

}  // namespace allreco::dist
