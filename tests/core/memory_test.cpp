// The memory that is left, in trees of files as the kernel lays them out (admin-guide/cgroup-v2.rst,
// cgroup-v1/memory.rst).
#include "core/memory.h"

#include <gtest/gtest.h>

#include <fstream>
#include <new>
#include <stdexcept>
#include <string>

#include "core/check.h"
#include "support/temporary_directory.h"

namespace allreco::core {
namespace {
namespace fs = std::filesystem;

constexpr std::int64_t kMiB = std::int64_t{1} << 20;

/// A machine with 1000 MiB available.
class Memory : public ::testing::Test {
 protected:
  Memory() {
    write("proc/meminfo", "MemTotal:        4096000 kB\nMemFree:          100000 kB\nMemAvailable:    1024000 kB\n");
  }

  void write(const fs::path& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  /// Version 2. `limit`: in MiB, or max.
  void group(const fs::path& path, const std::string& limit, std::int64_t used_mib, std::int64_t cache_mib) {
    const fs::path folder = fs::path("sys/fs/cgroup") / path;
    write(folder / "memory.max", limit == "max" ? limit : std::to_string(std::stoll(limit) * kMiB));
    write(folder / "memory.current", std::to_string(used_mib * kMiB));
    write(folder / "memory.stat", "anon 4096\nfile 8192\ninactive_anon 1\nactive_anon 2\ninactive_file " +
                                      std::to_string(cache_mib * kMiB) + "\nactive_file 3\n");
  }
  void group_of_version_1(const fs::path& path, std::int64_t limit_bytes, std::int64_t used_mib,
                          std::int64_t cache_mib) {
    const fs::path folder = fs::path("sys/fs/cgroup/memory") / path;
    write(folder / "memory.limit_in_bytes", std::to_string(limit_bytes));
    write(folder / "memory.usage_in_bytes", std::to_string(used_mib * kMiB));
    write(folder / "memory.stat",
          "cache 5\ninactive_file 1\ntotal_cache 6\ntotal_inactive_file " + std::to_string(cache_mib * kMiB) + "\n");
  }

  std::int64_t available_mib() const { return available_memory_bytes(root_) / kMiB; }
  std::int64_t limit_mib() const { return memory_limit_bytes(root_) / kMiB; }

  const support::TemporaryDirectory directory_;
  const fs::path& root_ = directory_.path();
};

}  // namespace

TEST_F(Memory, WithoutGroupsItIsTheMachines) {
  EXPECT_EQ(available_mib(), 1000);
  EXPECT_EQ(limit_mib(), 0);
  write("proc/self/cgroup", "0::/\n");
  group("", "max", 700, 0);
  EXPECT_EQ(available_mib(), 1000);
  EXPECT_EQ(limit_mib(), 0);
}

TEST_F(Memory, AGroupHasWhatItsLimitLeaves) {
  write("proc/self/cgroup", "0::/job\n");
  group("job", "600", 450, 0);
  EXPECT_EQ(available_mib(), 150);
  EXPECT_EQ(limit_mib(), 600);
}

TEST_F(Memory, ThePageCacheOfAGroupIsLeft) {
  write("proc/self/cgroup", "0::/job\n");
  group("job", "600", 450, 400);
  EXPECT_EQ(available_mib(), 550);
}

TEST_F(Memory, ALimitAboveTheMachinesIsNoMemory) {
  write("proc/self/cgroup", "0::/job\n");
  group("job", "9000", 450, 0);
  EXPECT_EQ(available_mib(), 1000);
  EXPECT_EQ(limit_mib(), 9000);
}

TEST_F(Memory, AParentsLimitCounts) {
  write("proc/self/cgroup", "0::/slurm/job_7/step_0\n");
  group("slurm", "max", 900, 0);
  group("slurm/job_7", "500", 480, 0);
  group("slurm/job_7/step_0", "400", 100, 0);
  EXPECT_EQ(available_mib(), 20);
  EXPECT_EQ(limit_mib(), 400);
}

TEST_F(Memory, AGroupOverItsLimitHasNone) {
  write("proc/self/cgroup", "0::/job\n");
  group("job", "600", 610, 0);
  EXPECT_EQ(available_mib(), 0);
}

// Its number for no limit is the largest multiple of a page; inactive_file leaves out the groups below, usage does not.
TEST_F(Memory, VersionOneToo) {
  write("proc/self/cgroup", "12:cpu,cpuacct:/job\n5:memory:/job/task\n1:name=systemd:/other\n");
  group_of_version_1("", 0x7FFFFFFFFFFFF000, 900, 0);
  group_of_version_1("job", 300 * kMiB, 290, 40);
  EXPECT_EQ(limit_mib(), 300);
  EXPECT_EQ(available_mib(), 50);
}

TEST(FailureText, SaysThatMemoryRanOut) {
  const std::runtime_error of_torch(
      "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
      "400000000 bytes. Error code 12 (Cannot allocate memory)");
  EXPECT_EQ(failure_text(of_torch, "Use a smaller x"),
            "memory ran out (asked for: 400000000 bytes). Use a smaller x. Give the process more (ulimit -v, the job's "
            "limit) or start fewer ranks on this host");
  const std::runtime_error of_cuda("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79");
  EXPECT_EQ(failure_text(of_cuda),
            "the GPU's memory ran out (asked for: 2.00 GiB). Leave the GPU to this process alone");
  EXPECT_EQ(failure_text(std::bad_alloc()),
            "memory ran out. Give the process more (ulimit -v, the job's limit) or start fewer ranks on this host");
  EXPECT_EQ(failure_text(std::runtime_error("something else")), "something else");
}

// It comes of a number in a damaged file or of a fault, never of the machine.
TEST(FailureText, ALengthBeyondAllMemoryIsNoLackOfIt) {
  const std::string text = failure_text(std::length_error("vector::reserve"), "Use a smaller x");
  EXPECT_EQ(text, "something was to be longer than any memory can hold (vector::reserve)");
}

// Ranks agree on a text; what it quotes is not a new failure of the one that throws it.
TEST(FailureText, AFaultIsATextAlready) {
  EXPECT_EQ(failure_text(Fault("rank 1: CUDA out of memory. Tried to allocate 2.00 GiB."), "Use a smaller x"),
            "rank 1: CUDA out of memory. Tried to allocate 2.00 GiB.");
}

}  // namespace allreco::core
