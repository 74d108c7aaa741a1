// Which rank computes on which GPU, and whether that can work. NCCL refuses two ranks on one GPU of one host, in the
// middle of its start and without naming them; so the ranks compare first. NCCL takes containers with names of their
// own for different hosts and would let their ranks share a GPU unnoticed; here the machine counts.
#pragma once
#include <c10/core/Device.h>

#include <string>
#include <vector>

#include "dist/session.h"

namespace allreco::dist {

/// What tells one GPU of a machine from another.
struct GpuIdentity {
  std::string uuid;        // as nvidia-smi -L prints it
  std::string pci_bus_id;  // what NCCL compares; slices (MIG) of one GPU have the same
};

/// Where a rank computes; no pci_bus_id: on the CPU.
struct GpuPlace {
  std::string host;     // core::host_name, for messages
  std::string machine;  // core::machine_identity: a bus id names one GPU of a machine, in all of its containers
  GpuIdentity gpu;
  int num_gpus = 0;  // of the machine, which the rank may use
};

/// `places`: one for each rank. UserError naming the ranks and what to do when some ranks have a GPU and others none,
/// or when two share one without `allow_gpu_sharing`. Returns for each rank the number of lower ranks on the same GPU:
/// all 0 unless GPUs are shared.
std::vector<int> judge_gpu_placement(const std::vector<GpuPlace>& places, bool allow_gpu_sharing);

/// Collective. Gathers where the ranks compute and judges it, see judge_gpu_placement; call it before NCCL starts.
/// Where ranks share a GPU, gives them different NCCL_HOSTIDs, so that NCCL takes them for ranks on different hosts:
/// they then talk through the network interface, slowly. `device`: of this rank, CPU or CUDA.
void check_gpu_placement(Session& session, c10::Device device, bool allow_gpu_sharing);

/// What to say of GPUs that ranks may use and do not; empty: there are none.
std::string describe_unused_gpus(const std::vector<GpuPlace>& places);

/// Collective. Rank 0 warns of such GPUs, see describe_unused_gpus: a run on CPUs beside them is seldom meant.
void warn_of_unused_gpus(Session& session, c10::Device device);

/// Of a CUDA device that this process sees. UserError in builds without CUDA.
GpuIdentity identify_gpu(int device);

}  // namespace allreco::dist
