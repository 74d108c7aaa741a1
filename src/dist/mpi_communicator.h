// The data plane for tensors on the CPU, over a communicator of its own. Internal to dist; others get it from
// Session::communicator().
#pragma once
#include <memory>

#include "dist/communicator.h"
#include "dist/watchdog.h"

namespace allreco::dist {

/// Collective over all ranks; MPI must be up. Sums run as MPI_Iallreduce in place: they advance only while this rank is
/// inside poll(), wait() or another MPI call. The result has the same bits on every rank and in every run of the same
/// world size.
std::unique_ptr<Communicator> make_mpi_communicator(Watchdog& watchdog);

}  // namespace allreco::dist
