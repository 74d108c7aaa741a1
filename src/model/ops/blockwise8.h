// bitsandbytes' 8-bit block-wise quantisation: each block of the flattened tensor keeps its largest absolute value
// (absmax) and a code of 8 bits an element, the nearest entry of an ascending map of 256 values to x * (1 / absmax)
// (x / absmax in a shorter last block). A fraction halfway between two entries takes the lower one.
// Used for the absmax of NF4 (signed map) and for the moments of the 8-bit AdamW (ops/dynamic_map.h). All tensors are
// on the CPU. The bits depend neither on the instruction set nor on the number of threads.
#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

namespace allreco::model::ops {

/// A map, prepared for searching it: where the leading bits of a fraction have led there are few codes left. Immutable.
class Map8 {
 public:
  /// float32 [256], finite and ascending, else a Fault.
  explicit Map8(const at::Tensor& map);

  float value(std::uint8_t code) const { return values_[code]; }
  const float* values() const { return values_.data(); }

  /// The number of midpoints of neighbouring entries (rounded to float32) that are below `fraction`, which is not NaN
  /// and lies in [-1, 1] up to rounding.
  std::uint8_t nearest(float fraction) const {
    std::uint32_t code = first_code_[key_of(fraction)];
    for (int step = 0; step < max_steps_; ++step) {
      code += fraction > midpoints_[code] ? 1u : 0u;
    }
    return static_cast<std::uint8_t>(code);
  }

 private:
  // Sign, exponent and 7 bits of mantissa; fractions below 2^-24 share a key, as do those from 1 on.
  static constexpr std::uint32_t kLowestKey = 0x3380, kHighestKey = 0x3f80;
  static constexpr std::uint32_t kKeysOfASign = kHighestKey - kLowestKey + 1;

  static std::uint32_t key_of(float fraction) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &fraction, sizeof(bits));
    std::uint32_t magnitude = (bits & 0x7fffffffu) >> 16;
    magnitude = magnitude < kLowestKey ? kLowestKey : magnitude;
    magnitude = magnitude > kHighestKey ? kHighestKey : magnitude;
    return magnitude - kLowestKey + (bits >> 31) * kKeysOfASign;
  }
  int num_midpoints_below(float fraction) const;
  void fill_key(std::uint32_t key, float lowest, float highest);

  std::array<float, 256> values_{};
  std::array<float, 256> midpoints_{};  // the last one is infinity
  std::vector<std::uint8_t> first_code_;
  int max_steps_ = 0;
};

struct Blockwise8 {
  at::Tensor codes;   // uint8, shape of the values
  at::Tensor absmax;  // float32 [blocks]
};

/// `values` float32, contiguous; blocksize: a power of two. Blocks of zeros: see ops/nf4.h. A UserError when `values`
/// holds infinity or NaN.
Blockwise8 blockwise8_quantize(const at::Tensor& values, const Map8& map, std::int64_t blocksize);

/// One block of n values. `last_and_short`: the fraction is x / absmax. Returns absmax, which is not finite, with codes
/// that mean nothing, where a value is not.
float blockwise8_quantize_block(std::uint8_t* codes, const float* values, std::int64_t n, const Map8& map,
                                bool last_and_short);

/// out[i] = map[codes[i]] * absmax of its block. `codes` uint8, contiguous; `absmax` float32 [blocks]; `out` float32,
/// contiguous, as many elements as codes.
void blockwise8_dequantize(const at::Tensor& codes, const at::Tensor& absmax, const Map8& map, std::int64_t blocksize,
                           at::Tensor& out);

namespace cpu {
void blockwise8_quantize(const at::Tensor& values, const Map8& map, std::int64_t blocksize, at::Tensor& codes,
                         at::Tensor& absmax);
void blockwise8_dequantize(const at::Tensor& codes, const at::Tensor& absmax, const Map8& map, std::int64_t blocksize,
                           at::Tensor& out);
}  // namespace cpu

}  // namespace allreco::model::ops
