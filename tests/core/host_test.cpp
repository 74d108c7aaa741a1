#include "core/host.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "support/temporary_directory.h"

namespace allreco::core {
namespace {

std::string name_of_the_kernel() {
  struct utsname names {};
  EXPECT_EQ(::uname(&names), 0);
  return names.nodename;
}

struct Names {
  std::string host, machine;
};

constexpr int kNotAllowed = 77;

/// As a container with that host name on this machine sees them; empty where the system does not allow one.
Names names_in_a_container(const std::string& host) {
  std::array<int, 2> pipe{};
  EXPECT_EQ(::pipe(pipe.data()), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWUTS) != 0 || ::sethostname(host.data(), host.size()) != 0)
      ::_exit(kNotAllowed);
    const std::string text = host_name() + "\n" + machine_identity();
    ::_exit(::write(pipe[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  ::close(pipe[1]);
  std::string text;
  std::array<char, 256> part{};
  for (ssize_t size = 0; (size = ::read(pipe[0], part.data(), part.size())) > 0;)
    text.append(part.data(), static_cast<size_t>(size));
  ::close(pipe[0]);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  if (WEXITSTATUS(status) == kNotAllowed) return {};
  EXPECT_EQ(status, 0);
  const size_t end = text.find('\n');
  return {text.substr(0, end), text.substr(end + 1)};
}

}  // namespace

TEST(Host, IsCalledAsSlurmKnowsIt) {
  ::unsetenv("SLURMD_NODENAME");
  EXPECT_EQ(host_name(), name_of_the_kernel());
  ASSERT_EQ(::setenv("SLURMD_NODENAME", "n7", 1), 0);
  const std::string machine = machine_identity();
  EXPECT_EQ(host_name(), "n7");
  ::unsetenv("SLURMD_NODENAME");
  EXPECT_EQ(machine_identity(), machine) << "two SLURM nodes on one machine share its cores and GPUs";
}

// 36 characters in five groups, as RFC 9562 writes a UUID.
TEST(Host, TheMachineIsTheBootOfItsKernel) {
  const std::string machine = machine_identity();
  ASSERT_EQ(machine.size(), 36u) << machine;
  for (const size_t dash : {8u, 13u, 18u, 23u}) EXPECT_EQ(machine[dash], '-') << machine;
  EXPECT_EQ(machine, machine_identity());
}

TEST(Host, ContainersOfOneMachineHaveNamesOfTheirOwn) {
  ::unsetenv("SLURMD_NODENAME");
  const Names inside = names_in_a_container("rank-7");
  if (inside.host.empty()) GTEST_SKIP() << "this system lets nobody change a host name: not tested";
  EXPECT_EQ(inside.host, "rank-7");
  EXPECT_EQ(inside.machine, machine_identity());
}

// Device files as the driver makes them, with a gap where the control group hides one, beside what is no GPU.
TEST(Host, CountsTheGpusThatAProcessMayUse) {
  const support::TemporaryDirectory devices;
  EXPECT_EQ(num_nvidia_gpus(devices.path().string(), nullptr), 0);
  for (const char* name : {"nvidia0", "nvidia2", "nvidia11", "nvidiactl", "nvidia-uvm", "nvidia"})
    std::ofstream(devices.path() / name) << "x";
  const auto count = [&](const char* visible) { return num_nvidia_gpus(devices.path().string(), visible); };
  EXPECT_EQ(count(nullptr), 3);
  EXPECT_EQ(count(""), 0);
  EXPECT_EQ(count("1"), 1);
  EXPECT_EQ(count("GPU-8f3,GPU-9a1"), 2);
  EXPECT_EQ(count("0,1,2,3"), 3);
}

// The kernel's own text, cut by sed.
TEST(Host, TheProcessorIsTheOneThatTheKernelNames) {
  FILE* pipe = ::popen("sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1", "r");
  ASSERT_NE(pipe, nullptr);
  std::array<char, 512> line{};
  const bool is_named = std::fgets(line.data(), line.size(), pipe) != nullptr;
  ::pclose(pipe);
  EXPECT_EQ(cpu_model() + (is_named ? "\n" : ""), std::string(line.data()));
}

}  // namespace allreco::core
