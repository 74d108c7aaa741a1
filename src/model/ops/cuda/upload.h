// Small vectors of the host as tensors on a device, without waiting for the device.
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <vector>

namespace allreco::model::ops::cuda {

/// From pinned memory, which the caching host allocator keeps until the copy is done; on the CPU the tensor itself.
template <class T>
at::Tensor upload(const std::vector<T>& values, c10::Device device) {
  const auto options = at::TensorOptions().dtype(c10::CppTypeToScalarType<T>::value).pinned_memory(device.is_cuda());
  at::Tensor host = at::empty({static_cast<std::int64_t>(values.size())}, options);
  std::copy(values.begin(), values.end(), host.mutable_data_ptr<T>());
  return host.to(device, /*non_blocking=*/true);
}

}  // namespace allreco::model::ops::cuda
