// The device that a rank computes on. No CUDA header is needed: a build with CUDA links its backend into ATen.
#pragma once
#include <c10/core/Device.h>

#include <cstdint>
#include <string>

namespace allreco::model {

/// CUDA devices that this process sees; 0 in a build without CUDA.
std::int64_t num_cuda_devices();

/// `option`: cpu; cuda, which is GPU `index` of those that this process sees; or auto, which is cuda where there is a
/// GPU, else cpu. UserError that says what is missing: CUDA in this build, a GPU, or the GPU of that index. A GPU
/// becomes the calling thread's current device.
c10::Device choose_device(const std::string& option, std::int64_t index);

/// The most memory that tensors have taken on the device since the process started, in bytes; 0 on the CPU.
std::int64_t peak_device_bytes(c10::Device device);

}  // namespace allreco::model
