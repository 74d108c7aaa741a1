// What a process sets up once before it computes: its threads and signals.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dist/session.h"

namespace allreco::cli {

/// Where a rank may run.
struct Placement {
  std::string machine;     // core::machine_identity: its kernel numbers the cores, in containers too
  std::vector<int> cores;  // the CPUs of its affinity mask
};

/// The threads that ranks[rank] should use: its cores, each divided by the ranks of its machine that may use it, at
/// least 1. So ranks that a launcher bound to cores of their own use all of those, and unbound ranks share the machine.
std::int64_t fair_threads(const std::vector<Placement>& ranks, std::size_t rank);

/// More are a mistake: each takes a stack, and no machine has so many cores.
inline constexpr int kMostThreads = 1024;

/// The first number of OMP_NUM_THREADS; none: not set (null) or empty. UserError unless it is 1 to kMostThreads.
std::optional<std::int64_t> threads_of_environment(const char* omp_num_threads);

/// Collective. `threads` 0: OMP_NUM_THREADS, or else fair_threads. Returns the number set. libtorch alone would pick 1
/// under mpirun.
std::int64_t set_up_threads(std::int64_t threads, dist::Session& session);

/// A write beyond the limit on a file's size fails (EFBIG) and does not end the process. First in main.
void set_up_signals();

}  // namespace allreco::cli
