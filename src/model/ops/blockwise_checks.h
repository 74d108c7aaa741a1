// Argument checks of the block-wise quantisers.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace allreco::model::ops {

constexpr std::int64_t num_blocks_of(std::int64_t num_elements, std::int64_t blocksize) {
  return (num_elements + blocksize - 1) / blocksize;
}

/// A Fault unless there are elements and the blocksize is a power of two.
void check_blocksize(const char* op, const at::Tensor& tensor, std::int64_t blocksize);

/// A Fault unless the tensor is contiguous, of this dtype, with `num_elements` elements, on this kind of device.
void check_contiguous(const char* op, const char* name, const at::Tensor& tensor, at::ScalarType dtype,
                      std::int64_t num_elements, c10::DeviceType device);

/// A UserError naming the first block whose largest absolute value (float32 [blocks], on any device) is not finite:
/// values come from the user's files, and no block-wise format holds an infinity or a NaN.
void check_absmax(const char* op, const at::Tensor& absmax, std::int64_t blocksize);

}  // namespace allreco::model::ops
