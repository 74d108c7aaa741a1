#include "model/ops/blockwise8.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/check.h"
#include "model/ops/blockwise_checks.h"
#include "model/ops/checks.h"

namespace allreco::model::ops {
namespace {

float float_of(std::uint32_t bits) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

}  // namespace

Map8::Map8(const at::Tensor& map) : first_code_(std::size_t{2} * kKeysOfASign) {
  check_dense("Map8", "map", map, at::kFloat, map, {256});
  core::require(map.is_cpu(), "an 8-bit map is read on the CPU");
  std::memcpy(values_.data(), map.const_data_ptr<float>(), sizeof(values_));
  for (size_t i = 0; i + 1 < values_.size(); ++i) {
    if (!(values_[i] <= values_[i + 1]) || !std::isfinite(values_[i]) || !std::isfinite(values_[i + 1])) {
      core::fault("8-bit map: expected finite, ascending values, found {} and {} at {}", values_[i], values_[i + 1], i);
    }
    midpoints_[i] = (values_[i] + values_[i + 1]) / 2;
  }
  midpoints_.back() = std::numeric_limits<float>::infinity();
  for (std::uint32_t k = 0; k < kKeysOfASign; ++k) {
    const std::uint32_t magnitude = k + kLowestKey;
    const float smallest = k == 0 ? 0.0f : float_of(magnitude << 16);
    const float largest = float_of(magnitude << 16 | 0xffff);
    fill_key(k, smallest, largest);
    fill_key(k + kKeysOfASign, -largest, -smallest);
  }
}

int Map8::num_midpoints_below(float fraction) const {
  return static_cast<int>(std::lower_bound(midpoints_.begin(), midpoints_.end(), fraction) - midpoints_.begin());
}

void Map8::fill_key(std::uint32_t key, float lowest, float highest) {
  const int first = num_midpoints_below(lowest);
  first_code_[key] = static_cast<std::uint8_t>(first);
  max_steps_ = std::max(max_steps_, num_midpoints_below(highest) - first);
}

Blockwise8 blockwise8_quantize(const at::Tensor& values, const Map8& map, std::int64_t blocksize) {
  check_blocksize("blockwise8_quantize", values, blocksize);
  check_contiguous("blockwise8_quantize", "values", values, at::kFloat, values.numel(), c10::kCPU);
  Blockwise8 result{at::empty_like(values, at::kByte),
                    at::empty({num_blocks_of(values.numel(), blocksize)}, values.options())};
  cpu::blockwise8_quantize(values, map, blocksize, result.codes, result.absmax);
  check_absmax("blockwise8_quantize", result.absmax, blocksize);
  return result;
}

void blockwise8_dequantize(const at::Tensor& codes, const at::Tensor& absmax, const Map8& map, std::int64_t blocksize,
                           at::Tensor& out) {
  constexpr const char* kOp = "blockwise8_dequantize";
  check_blocksize(kOp, codes, blocksize);
  check_contiguous(kOp, "codes", codes, at::kByte, codes.numel(), c10::kCPU);
  check_contiguous(kOp, "absmax", absmax, at::kFloat, num_blocks_of(codes.numel(), blocksize), c10::kCPU);
  check_contiguous(kOp, "out", out, at::kFloat, codes.numel(), c10::kCPU);
  cpu::blockwise8_dequantize(codes, absmax, map, blocksize, out);
}

}  // namespace allreco::model::ops
