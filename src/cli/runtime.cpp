#include "cli/runtime.h"

#include <ATen/Parallel.h>
#include <malloc.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "train/stop_signals.h"

namespace allreco::cli {

void shorten_spinning(char** argv) {
  if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  if (::setenv("GOMP_SPINCOUNT", "1000", 1) == 0) ::execv("/proc/self/exe", argv);
  // Where exec is not possible the program is only slower: go on.
}

std::int64_t set_up_threads(std::int64_t threads, int ranks_on_node) {
  if (threads == 0) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    const int num_cores = sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
    threads = std::max(1, num_cores / std::max(1, ranks_on_node));
  }
  at::set_num_threads(static_cast<int>(threads));
  return threads;
}

void set_up_allocator() {
  constexpr int never = 1 << 30;
  mallopt(M_MMAP_THRESHOLD, never);
  mallopt(M_TRIM_THRESHOLD, never);
}

void set_up_signals(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "train") train::hold_stop_signals();
}

}  // namespace allreco::cli
