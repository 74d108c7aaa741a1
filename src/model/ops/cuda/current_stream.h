// The current stream of a device, without a header of CUDA.
#pragma once
#include <c10/core/impl/VirtualGuardImpl.h>

namespace allreco::model::ops::cuda {

/// A cudaStream_t.
inline void* current_stream(c10::Device device) {
  return c10::impl::VirtualGuardImpl(device.type()).getStream(device).native_handle();
}

}  // namespace allreco::model::ops::cuda
