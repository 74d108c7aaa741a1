// Runs the source of GPU kernels on the host: block by block, phase by phase, thread by thread.
#pragma once
#include <cstring>

#include "model/ops/cuda/device.cuh"

namespace allreco::model::ops {

/// Calls phase(place) for every thread of a block. A barrier is the end of one such loop. Threads run in the reverse
/// order too, so that a phase which needs another thread's work of the same phase is found out.
template <class Phase>
void for_threads(unsigned num_threads, unsigned block, unsigned num_blocks, bool backwards, const Phase& phase) {
  for (unsigned i = 0; i < num_threads; ++i) {
    phase(cuda::ThreadPlace{backwards ? num_threads - 1 - i : i, block, num_threads, num_blocks});
  }
}

/// A kernel: its phases, each phase(place, shared), in every block. Shared memory starts as NaNs.
template <class Shared, class... Phases>
void run_blocks(unsigned num_threads, std::int64_t num_blocks, bool backwards, const Phases&... phases) {
  const auto blocks = static_cast<unsigned>(num_blocks);
  for (unsigned i = 0; i < blocks; ++i) {
    const unsigned block = backwards ? blocks - 1 - i : i;
    Shared shared;
    std::memset(&shared, 0xff, sizeof(shared));
    (for_threads(num_threads, block, blocks, backwards, [&](const cuda::ThreadPlace& place) { phases(place, shared); }),
     ...);
  }
}

}  // namespace allreco::model::ops
