#include "model/ops/blockwise8.h"

#include "model/ops/cpu/blocks.h"
#include "model/ops/nf4_codebook.h"

namespace allreco::model::ops {
namespace {

/// Compared as integers, so that infinities and NaNs are the largest.
float absmax_of(const float* values, std::int64_t n) {
  std::int32_t largest = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    std::int32_t bits = 0;
    std::memcpy(&bits, values + i, sizeof(bits));
    bits &= 0x7fffffff;
    largest = bits > largest ? bits : largest;
  }
  float result = 0;
  std::memcpy(&result, &largest, sizeof(result));
  return result;
}

}  // namespace

float blockwise8_quantize_block(std::uint8_t* codes, const float* values, std::int64_t n, const Map8& map,
                                bool last_and_short) {
  float absmax = absmax_of(values, n);
  const float divisor = absmax > kMinAbsmax ? absmax : kMinAbsmax;
  if (last_and_short) {
    absmax = divisor;
    for (std::int64_t i = 0; i < n; ++i) {
      codes[i] = map.nearest(values[i] / divisor);
    }
  } else {
    const float inverse = 1.0f / divisor;
    for (std::int64_t i = 0; i < n; ++i) {
      codes[i] = map.nearest(values[i] * inverse);
    }
  }
  return absmax;
}

namespace cpu {

void blockwise8_quantize(const at::Tensor& values, const Map8& map, std::int64_t blocksize, at::Tensor& codes,
                         at::Tensor& absmax) {
  const auto* const x = values.const_data_ptr<float>();
  auto* const code = codes.mutable_data_ptr<std::uint8_t>();
  auto* const largest = absmax.mutable_data_ptr<float>();
  for_blocks(values.numel(), blocksize, [&](std::int64_t block, std::int64_t begin, std::int64_t n) {
    largest[block] = blockwise8_quantize_block(code + begin, x + begin, n, map, n < blocksize);
  });
}

void blockwise8_dequantize(const at::Tensor& codes, const at::Tensor& absmax, const Map8& map, std::int64_t blocksize,
                           at::Tensor& out) {
  const auto* const code = codes.const_data_ptr<std::uint8_t>();
  const auto* const largest = absmax.const_data_ptr<float>();
  auto* const y = out.mutable_data_ptr<float>();
  for_blocks(codes.numel(), blocksize, [&](std::int64_t block, std::int64_t begin, std::int64_t n) {
    for (std::int64_t i = begin; i < begin + n; ++i) {
      y[i] = map.value(code[i]) * largest[block];
    }
  });
}

}  // namespace cpu
}  // namespace allreco::model::ops
