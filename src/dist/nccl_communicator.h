// The data plane for tensors on NVIDIA GPUs: NCCL, one communicator and one high-priority stream per rank.
// nccl_communicator.cpp is linked in builds with CUDA, nccl_stub.cpp in others. It compiles and links everywhere, but
// has not yet run on a machine with GPUs: nothing about its speed or its behaviour under failure is claimed.
#pragma once
#include <memory>

#include "dist/communicator.h"
#include "dist/session.h"

namespace allreco::dist {

/// Collective over all ranks of the session, which must outlive the plane. `device`: this rank's CUDA device, one rank
/// per device; torch's current stream of that device is the one whose tensors are reduced. All ranks succeed, or all
/// throw the same error. UserError in builds without CUDA.
///
/// start_all_reduce_sum: runs on the plane's own stream after all work that the current stream holds at the call; the
/// host goes on. Work::wait() blocks the host until the sum is in the tensor, looks for NCCL's asynchronous errors
/// meanwhile, and aborts the NCCL communicator when it throws. Run-to-run bits are the same with NCCL_ALGO=Ring,
/// NCCL_PROTO=Simple and NCCL_NVLS_ENABLE=0 only; all ranks always see the same bits.
std::unique_ptr<Communicator> make_nccl_communicator(Session& session, int device);

}  // namespace allreco::dist
