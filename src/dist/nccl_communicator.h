// The data plane for tensors on NVIDIA GPUs: NCCL, one communicator and one high-priority stream per rank. The logic is
// in nccl_communicator.cpp, in every build; the calls to NCCL and CUDA are behind NcclApi. The logic is tested on a
// scripted double, but NCCL itself has not yet run under it: nothing about its speed is claimed.
#pragma once
#include <functional>
#include <memory>

#include "dist/communicator.h"
#include "dist/nccl_api.h"
#include "dist/session.h"

namespace allreco::dist {

/// Collective over all ranks of the session, which must outlive the plane. `device`: this rank's CUDA device, see
/// dist/gpu_placement.h; torch's current stream of that device is the one whose tensors are reduced. All ranks succeed,
/// or all throw the same error. UserError in builds without CUDA.
///
/// start_all_reduce_sum: runs on the plane's own stream after all work that the current stream holds at the call; the
/// host goes on. Work::wait() blocks the host until the sum is in the tensor. Whatever throws (poll, wait, a start) has
/// aborted the NCCL communicator, after it logged why; later calls throw. Destroying a plane that is well ends NCCL
/// together with the other ranks; if that fails, the session is out of step and ends every rank.
/// Run-to-run bits are the same with NCCL_ALGO=Ring, NCCL_PROTO=Simple and NCCL_NVLS_ENABLE=0 only; all ranks always
/// see the same bits.
std::unique_ptr<Communicator> make_nccl_communicator(Session& session, int device, const NcclOptions& options = {});

/// The same over another NcclApi: `make_api` is called on every rank, once.
std::unique_ptr<Communicator> make_nccl_communicator(Session& session,
                                                     const std::function<std::unique_ptr<NcclApi>()>& make_api);

}  // namespace allreco::dist
