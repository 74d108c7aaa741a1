// The device that a rank computes on. No CUDA header is needed: a build with CUDA links its backend into ATen.
#pragma once
#include <c10/core/Device.h>

#include <cstdint>
#include <string>

namespace allreco::model {

/// CUDA devices that this process sees; 0 in a build without CUDA.
std::int64_t num_cuda_devices();

/// `option`: cpu; cuda; or auto, which is cuda where there is a GPU, else cpu. Of the GPUs that this process sees, the
/// ranks of a node take one after another and begin again: a scheduler that shows each rank only its own gives it that.
/// Whether two ranks share a GPU is for dist/gpu_placement.h to say. UserError that says what is missing: CUDA in this
/// build, or a GPU. A GPU becomes the calling thread's current device.
c10::Device choose_device(const std::string& option, std::int64_t local_rank);

/// From now on the same work on the device has the same bits in every run: libtorch's operators take their
/// deterministic forms (flash attention's backward among them) and throw where they have none, and cuBLAS keeps its
/// workspaces apart. Before the device's first product of matrices. Nothing to do on the CPU. UserError for a
/// CUBLAS_WORKSPACE_CONFIG that forbids it.
void compute_deterministically(c10::Device device);

/// Returns when the device has done all that was given to it; nothing to do on the CPU.
void wait_for_device(c10::Device device);

/// The most memory that tensors have taken on the device since the process started, in bytes; 0 on the CPU.
std::int64_t peak_device_bytes(c10::Device device);

}  // namespace allreco::model
