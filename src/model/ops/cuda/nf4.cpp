// From tensors to the pointers of nf4.cu, on the current stream of the tensors' GPU.
#include "model/ops/nf4.h"

#include <c10/core/DeviceGuard.h>

#include <bit>

#include "core/check.h"
#include "model/ops/cuda/current_stream.h"
#include "model/ops/cuda/nf4_launch.h"

namespace allreco::model::ops::cuda {
namespace {

Nf4Float float_of(at::ScalarType dtype) {
  return dtype == at::kFloat ? Nf4Float::f32 : dtype == at::kBFloat16 ? Nf4Float::bf16 : Nf4Float::f16;
}

int log2_of(std::int64_t power_of_two) { return std::countr_zero(static_cast<std::uint64_t>(power_of_two)); }

/// The kernels move 16 bytes at a time. A tensor of its own is aligned; a view into one need not be.
void check_aligned(const char* name, const void* data) {
  if (std::bit_cast<std::uintptr_t>(data) % 16 != 0) {
    core::fault("NF4 on a GPU: expected {} to begin at a multiple of 16 bytes, found {}", name, data);
  }
}

}  // namespace

void nf4_quantize_blocks(const at::Tensor& values, std::int64_t blocksize, at::Tensor& packed, at::Tensor& absmax) {
  check_aligned("values", values.const_data_ptr());
  const c10::DeviceGuard guard(values.device());
  launch_nf4_quantize({values.const_data_ptr(), packed.mutable_data_ptr<std::uint8_t>(),
                       absmax.mutable_data_ptr<float>(), values.numel(), static_cast<int>(blocksize)},
                      float_of(values.scalar_type()), current_stream(values.device()));
}

void nf4_dequantize(const Nf4Tensor& nf4, at::Tensor& out, at::ScalarType rounding) {
  check_aligned("out", out.const_data_ptr());
  check_aligned("packed", nf4.packed.const_data_ptr());
  Nf4DequantizeArguments a;
  a.out = out.mutable_data_ptr();
  a.packed = nf4.packed.const_data_ptr<std::uint8_t>();
  a.quant_map = nf4.quant_map.const_data_ptr<float>();
  a.num_elements = nf4.num_elements();
  a.log2_blocksize = log2_of(nf4.blocksize);
  if (nf4.is_nested()) {
    a.absmax_codes = nf4.absmax.const_data_ptr<std::uint8_t>();
    a.nested_absmax = nf4.nested_absmax.const_data_ptr<float>();
    a.nested_map = nf4.nested_map.const_data_ptr<float>();
    a.nested_offset = nf4.nested_offset;
    a.log2_nested_blocksize = log2_of(nf4.nested_blocksize);
  } else {
    a.absmax = nf4.absmax.const_data_ptr<float>();
  }
  const c10::DeviceGuard guard(out.device());
  launch_nf4_dequantize(a, float_of(out.scalar_type()), float_of(rounding), current_stream(out.device()));
}

}  // namespace allreco::model::ops::cuda
