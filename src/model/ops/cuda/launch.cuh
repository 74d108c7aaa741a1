// What the .cu files share: the place of a thread, and the check after a launch.
#pragma once
#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

#include "model/ops/cuda/device.cuh"

namespace allreco::model::ops::cuda {

__device__ __forceinline__ ThreadPlace place() { return {threadIdx.x, blockIdx.x, blockDim.x, gridDim.x}; }

inline void check_launch(const char* what) {
  const cudaError_t error = cudaGetLastError();
  if (error != cudaSuccess) {
    throw std::runtime_error(std::string(what) + ": the kernel could not be launched: " + cudaGetErrorString(error));
  }
}

/// Launches kernel(arguments), a block for each of the rows. `what` names it in an error.
template <class Arguments>
void launch_rows(const char* what, void (*kernel)(Arguments), const Arguments& arguments, void* stream) {
  const auto rows = static_cast<unsigned>(arguments.num_rows);
  kernel<<<rows, threads_of(arguments), 0, static_cast<cudaStream_t>(stream)>>>(arguments);
  check_launch(what);
}

}  // namespace allreco::model::ops::cuda
