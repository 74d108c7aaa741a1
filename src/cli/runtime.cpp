#include "cli/runtime.h"

#include <ATen/Parallel.h>
#include <malloc.h>
#include <sched.h>

#include <algorithm>

namespace allreco::cli {

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

}  // namespace allreco::cli
