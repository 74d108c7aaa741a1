#include "model/ops/mean.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace allreco::model::ops {
namespace {

// 8 lanes of a vector, 4 vectors at a time: 32 sums side by side, whatever vectors this processor has.
constexpr std::int64_t kLanes = 8, kVectors = 4, kWidth = kLanes * kVectors;
using Sums = std::array<float, static_cast<size_t>(kWidth)>;

void add(Sums& sums, const float* x) {
  for (size_t i = 0; i < sums.size(); ++i) {
    sums[i] += x[i];
  }
}

/// Sums of `rows` rows of kWidth values: each level takes the level below after every 2^level_power additions.
Sums cascade(const float* x, std::int64_t rows) {
  constexpr std::int64_t kLevels = 4;
  const auto log2_rows = static_cast<std::int64_t>(rows <= 2 ? 1 : std::bit_width(static_cast<std::uint64_t>(rows - 1)));
  const std::int64_t level_power = std::max<std::int64_t>(4, log2_rows / kLevels);
  const std::int64_t level_rows = std::int64_t{1} << level_power;
  std::array<Sums, static_cast<size_t>(kLevels)> levels{};
  std::int64_t row = 0;
  while (row + level_rows <= rows) {
    for (const std::int64_t end = row + level_rows; row < end; ++row) {
      add(levels[0], x + row * kWidth);
    }
    for (std::int64_t level = 1; level < kLevels; ++level) {
      Sums& below = levels[static_cast<size_t>(level - 1)];
      add(levels[static_cast<size_t>(level)], below.data());
      below.fill(0);
      if ((row & ((level_rows - 1) << (level * level_power))) != 0) {
        break;
      }
    }
  }
  for (; row < rows; ++row) {
    add(levels[0], x + row * kWidth);
  }
  for (size_t level = 1; level < levels.size(); ++level) {
    add(levels[0], levels[level].data());
  }
  return levels[0];
}

}  // namespace

float mean_in_fixed_order(const at::Tensor& x) {
  const auto* const values = x.const_data_ptr<float>();
  const std::int64_t n = x.numel(), vectors = n / kLanes;
  Sums sums = cascade(values, vectors / kVectors);
  for (std::int64_t v = vectors / kVectors * kVectors; v < vectors; ++v) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      sums[static_cast<size_t>(lane)] += values[v * kLanes + lane];
    }
  }
  for (std::int64_t i = kLanes; i < kWidth; ++i) {
    sums[static_cast<size_t>(i % kLanes)] += sums[static_cast<size_t>(i)];
  }
  float total = 0;
  for (std::int64_t i = vectors * kLanes; i < n; ++i) {
    total += values[i];
  }
  for (size_t lane = 0; lane < kLanes; ++lane) {
    total += sums[lane];
  }
  return total / static_cast<float>(n);
}

}  // namespace allreco::model::ops
