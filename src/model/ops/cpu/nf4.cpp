#include "model/ops/nf4.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "model/ops/cpu/blocks.h"
#include "model/ops/cpu/nf4_kernels.inc"
#include "model/ops/cpu/rows.h"
#include "model/ops/nf4_codebook.h"

namespace allreco::model::ops::cpu {
namespace {

constexpr std::int64_t kMaxBlocksize = 4096;

/// Calls f(T()) with T = float, Bf16 or Half.
template <class F>
void dispatch_nf4(at::ScalarType dtype, const F& f) {
  switch (dtype) {
    case at::kBFloat16:
      f(Bf16());
      break;
    case at::kHalf:
      f(Half());
      break;
    default:
      f(float());
      break;
  }
}

float widened(float x) { return x; }
float widened(Bf16 x) { return c10::detail::f32_from_bits(x.bits); }
float widened(Half x) { return c10::detail::fp16_ieee_to_fp32_value(x.bits); }

std::uint8_t code_of(float fraction) {
  int code = 0;
  for (int i = 0; i < kNumNf4Codes - 1; ++i) {
    code += fraction > nf4_midpoint(i) ? 1 : 0;
  }
  return static_cast<std::uint8_t>(code);
}

/// A last block that is shorter than the others: bitsandbytes divides here, and never takes an absmax below 1e-38.
template <class T>
float quantize_short_block(std::uint8_t* packed, const T* x, std::int64_t n) {
  float absmax = kMinAbsmax;
  for (std::int64_t i = 0; i < n; ++i) {
    const float size = std::abs(widened(x[i]));
    absmax = size > absmax || std::isnan(size) ? size : absmax;  // a NaN stays
  }
  for (std::int64_t i = 0; i < n; i += 2) {
    const std::uint8_t high = code_of(widened(x[i]) / absmax);
    const std::uint8_t low = i + 1 < n ? code_of(widened(x[i + 1]) / absmax) : kNf4ZeroCode;
    packed[i / 2] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return absmax;
}

/// absmax of blocks `first` on, as float32: decoded where it is nested.
void decode_absmax(float* absmax, const Nf4Tensor& nf4, std::int64_t first, std::int64_t count) {
  const auto* const codes = nf4.absmax.const_data_ptr<std::uint8_t>();
  const auto* const map = nf4.nested_map.const_data_ptr<float>();
  const auto* const nested = nf4.nested_absmax.const_data_ptr<float>();
  for (std::int64_t b = first; b < first + count; ++b) {
    const float centred = map[codes[b]] * nested[b / nf4.nested_blocksize];  // two roundings, as bitsandbytes
    absmax[b - first] = centred + nf4.nested_offset;
  }
}

/// The blocks `first` to `first + count` into y, whose element 0 is the tensor's.
template <class Out, class Dequantize>
void dequantize_blocks(Out* y, const Nf4Tensor& nf4, std::int64_t first, std::int64_t count,
                       const Dequantize& dequantize) {
  const std::int64_t size = nf4.blocksize, n = nf4.num_elements();
  const auto* const packed = nf4.packed.const_data_ptr<std::uint8_t>() + first * size / 2;
  const auto* const map = nf4.quant_map.const_data_ptr<float>();
  std::vector<float> decoded;
  const float* absmax = nullptr;
  if (nf4.is_nested()) {
    decoded.resize(static_cast<size_t>(count));
    decode_absmax(decoded.data(), nf4, first, count);
    absmax = decoded.data();
  } else {
    absmax = nf4.absmax.const_data_ptr<float>() + first;
  }
  const std::int64_t rest = (first + count) * size > n ? n % size : 0;
  const std::int64_t whole = rest > 0 ? count - 1 : count;
  dequantize(y + first * size, packed, absmax, map, whole, size);
  if (rest > 0) {
    std::uint8_t codes[kMaxBlocksize / 2] = {};
    Out values[kMaxBlocksize];
    std::copy_n(packed + whole * size / 2, (rest + 1) / 2, codes);
    dequantize(values, codes, absmax + whole, map, 1, size);
    std::copy_n(values, rest, y + (first + whole) * size);
  }
}

template <class Out, class Dequantize>
void dequantize_all(at::Tensor& out, const Nf4Tensor& nf4, const Dequantize& dequantize) {
  for_block_ranges(nf4.num_blocks(), nf4.blocksize, [&](std::int64_t first, std::int64_t count) {
    dequantize_blocks(elements<Out>(out), nf4, first, count, dequantize);
  });
}

}  // namespace

void nf4_quantize_blocks(const at::Tensor& values, std::int64_t blocksize, at::Tensor& packed, at::Tensor& absmax) {
  auto* const codes = packed.mutable_data_ptr<std::uint8_t>();
  auto* const largest = absmax.mutable_data_ptr<float>();
  const std::int64_t whole = values.numel() / blocksize, rest = values.numel() % blocksize;
  dispatch_nf4(values.scalar_type(), [&](auto type) {
    const auto* const x = static_cast<const decltype(type)*>(values.const_data_ptr());
    for_block_ranges(whole, blocksize, [&](std::int64_t first, std::int64_t count) {
      kernels<Nf4Kernels<decltype(type)>>().quantize(codes + first * blocksize / 2, largest + first,
                                                     x + first * blocksize, count, blocksize);
    });
    if (rest > 0) {
      largest[whole] = quantize_short_block(codes + whole * blocksize / 2, x + whole * blocksize, rest);
    }
  });
}

void nf4_dequantize(const Nf4Tensor& nf4, at::Tensor& out, at::ScalarType rounding) {
  dispatch_nf4(rounding, [&](auto type) {
    const auto& table = kernels<Nf4Kernels<decltype(type)>>();
    if (out.scalar_type() == rounding) {
      dequantize_all<decltype(type)>(out, nf4, table.dequantize);
    } else {
      dequantize_all<float>(out, nf4, table.dequantize_wide);
    }
  });
}

}  // namespace allreco::model::ops::cpu
