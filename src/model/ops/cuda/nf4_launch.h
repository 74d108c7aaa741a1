// The GPU kernels of NF4 behind plain pointers: nf4.cu launches them, nf4_stub.cpp stands in for it in builds without
// CUDA. Pointers are to device memory; `stream` is a cudaStream_t. Both calls return at once.
#pragma once
#include <cstdint>

namespace allreco::model::ops::cuda {

/// Element types that the kernels read and write.
enum class Nf4Float { f32, bf16, f16 };

struct Nf4QuantizeArguments {
  const void* values = nullptr;
  std::uint8_t* packed = nullptr;
  float* absmax = nullptr;
  std::int64_t num_elements = 0;
  int blocksize = 64;  // a power of two from 32 to 4096
};

struct Nf4DequantizeArguments {
  void* out = nullptr;
  const std::uint8_t* packed = nullptr;
  const float* quant_map = nullptr;
  const float* absmax = nullptr;               // null with double quantisation
  const std::uint8_t* absmax_codes = nullptr;  // the four of double quantisation
  const float* nested_absmax = nullptr;
  const float* nested_map = nullptr;
  float nested_offset = 0;
  std::int64_t num_elements = 0;
  int log2_blocksize = 6;
  int log2_nested_blocksize = 8;
};

/// Throws when the launch fails. NaN and infinity leave an absmax that is not finite.
void launch_nf4_quantize(const Nf4QuantizeArguments& arguments, Nf4Float type, void* stream);

/// Values rounded to `rounding` and stored as `out`: the same, or f32. Throws when the launch fails.
void launch_nf4_dequantize(const Nf4DequantizeArguments& arguments, Nf4Float out, Nf4Float rounding, void* stream);

}  // namespace allreco::model::ops::cuda
