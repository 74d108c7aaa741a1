// What the kernels of this folder share, in a form that also compiles for the host: where a thread stands, types,
// arithmetic that no compiler fuses or approximates, and eight elements at a time.
#pragma once
#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define ALLRECO_DEVICE __host__ __device__ __forceinline__
#define ALLRECO_ROLLED _Pragma("unroll 1")
#else
#define ALLRECO_DEVICE inline
#define ALLRECO_ROLLED
#endif

namespace allreco::model::ops::cuda {

/// Where a thread stands, as CUDA numbers it.
struct ThreadPlace {
  unsigned thread = 0, block = 0, num_threads = 1, num_blocks = 1;
};

struct Bf16Bits {
  std::uint16_t bits;
};
struct Fp16Bits {
  std::uint16_t bits;
};

template <class To, class From>
ALLRECO_DEVICE To bits_to(From from) {
  static_assert(sizeof(To) == sizeof(From), "the same number of bits");
  To to;
  memcpy(&to, &from, sizeof(to));
  return to;
}

ALLRECO_DEVICE float product(float a, float b) {
#ifdef __CUDA_ARCH__
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}
ALLRECO_DEVICE float sum(float a, float b) {
#ifdef __CUDA_ARCH__
  return __fadd_rn(a, b);
#else
  return a + b;
#endif
}
ALLRECO_DEVICE float quotient(float a, float b) {
#ifdef __CUDA_ARCH__
  return __fdiv_rn(a, b);
#else
  return a / b;
#endif
}
/// The larger of two numbers that all threads of the block may change.
ALLRECO_DEVICE void raise_to(int* shared, int value) {
#ifdef __CUDA_ARCH__
  atomicMax(shared, value);
#else
  *shared = value > *shared ? value : *shared;
#endif
}

ALLRECO_DEVICE float to_float(float x) { return x; }
ALLRECO_DEVICE float to_float(Bf16Bits x) { return bits_to<float>(static_cast<std::uint32_t>(x.bits) << 16); }
/// c10's fp16_ieee_to_fp32_value.
ALLRECO_DEVICE float to_float(Fp16Bits x) {
  const std::uint32_t word = static_cast<std::uint32_t>(x.bits) << 16, sign = word & 0x80000000u, twice = word + word;
  const float normal = product(bits_to<float>((twice >> 4) + (0xe0u << 23)), 0x1p-112f);
  const float subnormal = sum(bits_to<float>((twice >> 17) | (126u << 23)), -0.5f);
  return bits_to<float>(sign | bits_to<std::uint32_t>(twice < (1u << 27) ? subnormal : normal));
}

template <class T>
ALLRECO_DEVICE T rounded_to(float x);
template <>
ALLRECO_DEVICE float rounded_to<float>(float x) {
  return x;
}
/// To nearest even; a NaN stays one.
template <>
ALLRECO_DEVICE Bf16Bits rounded_to<Bf16Bits>(float x) {
  const std::uint32_t bits = bits_to<std::uint32_t>(x);
  const std::uint32_t rounded = x != x ? bits | 0x400000u : bits + 0x7fffu + ((bits >> 16) & 1u);
  return {static_cast<std::uint16_t>(rounded >> 16)};
}
/// c10's fp16_ieee_from_fp32_value.
template <>
ALLRECO_DEVICE Fp16Bits rounded_to<Fp16Bits>(float x) {
  const std::uint32_t word = bits_to<std::uint32_t>(x), twice = word + word;
  const float absolute = bits_to<float>(word & 0x7fffffffu);
  std::uint32_t bias = twice & 0xff000000u;
  bias = bias < 0x71000000u ? 0x71000000u : bias;
  const float shifted =
      sum(bits_to<float>((bias >> 1) + 0x07800000u), product(product(absolute, 0x1p+112f), 0x1p-110f));
  const std::uint32_t rounded = bits_to<std::uint32_t>(shifted);
  const std::uint32_t magnitude = ((rounded >> 13) & 0x7c00u) + (rounded & 0xfffu);
  return {static_cast<std::uint16_t>(((word & 0x80000000u) >> 16) | (twice > 0xff000000u ? 0x7e00u : magnitude))};
}

/// Elements that a thread handles at a time: four packed bytes of NF4, 16 bytes of bfloat16.
constexpr int kPerThread = 8;

template <class T>
struct alignas(sizeof(T) * kPerThread < 16 ? sizeof(T) * kPerThread : 16) Pack {
  T values[kPerThread];
};

}  // namespace allreco::model::ops::cuda
