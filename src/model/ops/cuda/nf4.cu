// NF4's kernels on the GPU: nf4_kernels.cuh with barriers between its phases.
#include "model/ops/cuda/launch.cuh"
#include "model/ops/cuda/nf4_kernels.cuh"

namespace allreco::model::ops::cuda {
namespace {

constexpr unsigned kDequantizeThreads = 256;
constexpr std::int64_t kMaxDequantizeBlocks = 4096;  // several waves on any GPU; each thread then walks on

template <class T>
__global__ void __launch_bounds__(kQuantizeThreads) quantize(const Nf4QuantizeArguments a) {
  __shared__ Nf4QuantizeShared shared;
  quantize_clear(place(), shared);
  __syncthreads();
  quantize_find_absmax<T>(place(), a, shared);
  __syncthreads();
  quantize_write<T>(place(), a, shared);
}

template <class Out, class Rounded>
__global__ void __launch_bounds__(kDequantizeThreads) dequantize(const Nf4DequantizeArguments a) {
  __shared__ Nf4DequantizeShared shared;
  dequantize_load_map(place(), a, shared);
  __syncthreads();
  dequantize_write<Out, Rounded>(place(), a, shared);
}

std::int64_t rounded_up(std::int64_t n, std::int64_t unit) { return (n + unit - 1) / unit; }

template <class Out, class Rounded>
void launch_dequantize(const Nf4DequantizeArguments& a, cudaStream_t stream) {
  const std::int64_t wanted = rounded_up(a.num_elements, std::int64_t{kDequantizeThreads} * kPerThread);
  const auto blocks = static_cast<unsigned>(wanted < kMaxDequantizeBlocks ? wanted : kMaxDequantizeBlocks);
  dequantize<Out, Rounded><<<blocks, kDequantizeThreads, 0, stream>>>(a);
}

}  // namespace

void launch_nf4_quantize(const Nf4QuantizeArguments& a, Nf4Float type, void* stream) {
  const auto blocks = static_cast<unsigned>(rounded_up(a.num_elements, kQuantizeElements));
  const auto on = static_cast<cudaStream_t>(stream);
  if (type == Nf4Float::f32) {
    quantize<float><<<blocks, kQuantizeThreads, 0, on>>>(a);
  } else if (type == Nf4Float::bf16) {
    quantize<Bf16Bits><<<blocks, kQuantizeThreads, 0, on>>>(a);
  } else {
    quantize<Fp16Bits><<<blocks, kQuantizeThreads, 0, on>>>(a);
  }
  check_launch("nf4_quantize");
}

void launch_nf4_dequantize(const Nf4DequantizeArguments& a, Nf4Float out, Nf4Float rounding, void* stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  if (rounding == Nf4Float::f32) {
    launch_dequantize<float, float>(a, on);
  } else if (rounding == Nf4Float::bf16) {
    out == Nf4Float::f32 ? launch_dequantize<float, Bf16Bits>(a, on) : launch_dequantize<Bf16Bits, Bf16Bits>(a, on);
  } else {
    out == Nf4Float::f32 ? launch_dequantize<float, Fp16Bits>(a, on) : launch_dequantize<Fp16Bits, Fp16Bits>(a, on);
  }
  check_launch("nf4_dequantize");
}

}  // namespace allreco::model::ops::cuda
