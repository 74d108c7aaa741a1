// What a process sets up once before it computes: threads and the memory allocator.
#pragma once
#include <cstdint>

namespace allreco::cli {

/// OpenMP's threads spin at the end of each parallel loop for so long that on a core shared with other processes a
/// training step takes much longer. A spin of some microseconds costs about nothing on an idle machine and far less on
/// a busy one (docs/architecture.md, Threads). libgomp reads its environment when it is loaded, so this runs the
/// program again in the same process; it does nothing where GOMP_SPINCOUNT or OMP_WAIT_POLICY is set. Call it first in
/// main.
void shorten_spinning(char** argv);

/// `threads` 0: the cores that this process may use, divided by the ranks of its node, at least 1. Returns the number
/// set. libtorch alone would pick 1 under mpirun.
std::int64_t set_up_threads(std::int64_t threads, int ranks_on_node);

/// Keeps freed activations in the process instead of returning them to the system after every step, which would cost a
/// page fault per 4 KiB each time.
void set_up_allocator();

/// For `train`: stop signals wait until the run can take them. Before MPI starts.
void set_up_signals(int argc, char** argv);

}  // namespace allreco::cli
