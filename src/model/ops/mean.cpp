#include "model/ops/mean.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace allreco::model::ops {
namespace {

// 8 lanes of a vector, whatever vectors this processor has, and 4 vectors at a time.
constexpr std::int64_t kLanes = 8, kVectors = 4;
template <std::int64_t kWidth>
using Sums = std::array<float, static_cast<size_t>(kWidth)>;

template <std::int64_t kWidth>
void add(Sums<kWidth>& sums, const float* x) {
  for (size_t i = 0; i < sums.size(); ++i) {
    sums[i] += x[i];
  }
}

/// Sums of `rows` rows of kWidth values: each level takes the level below after every 2^level_power additions.
template <std::int64_t kWidth>
Sums<kWidth> cascade(const float* x, std::int64_t rows) {
  constexpr std::int64_t kLevels = 4;
  const auto log2_rows =
      static_cast<std::int64_t>(rows <= 2 ? 1 : std::bit_width(static_cast<std::uint64_t>(rows - 1)));
  const std::int64_t level_power = std::max<std::int64_t>(4, log2_rows / kLevels);
  const std::int64_t level_rows = std::int64_t{1} << level_power;
  std::array<Sums<kWidth>, static_cast<size_t>(kLevels)> levels{};
  std::int64_t row = 0;
  while (row + level_rows <= rows) {
    for (const std::int64_t end = row + level_rows; row < end; ++row) {
      add<kWidth>(levels[0], x + row * kWidth);
    }
    for (std::int64_t level = 1; level < kLevels; ++level) {
      Sums<kWidth>& below = levels[static_cast<size_t>(level - 1)];
      add<kWidth>(levels[static_cast<size_t>(level)], below.data());
      below.fill(0);
      if ((row & ((level_rows - 1) << (level * level_power))) != 0) {
        break;
      }
    }
  }
  for (; row < rows; ++row) {
    add<kWidth>(levels[0], x + row * kWidth);
  }
  for (size_t level = 1; level < levels.size(); ++level) {
    add<kWidth>(levels[0], levels[level].data());
  }
  return levels[0];
}

/// The sum of the first n / L vectors of L lanes.
template <std::int64_t L>
Sums<L> sum_of_vectors(const float* x, std::int64_t n) {
  const std::int64_t vectors = n / L;
  const Sums<L* kVectors> wide = cascade<L * kVectors>(x, vectors / kVectors);
  Sums<L> sums{};
  std::copy_n(wide.begin(), L, sums.begin());
  for (std::int64_t v = vectors / kVectors * kVectors; v < vectors; ++v) {
    add<L>(sums, x + v * L);
  }
  for (std::int64_t v = 1; v < kVectors; ++v) {
    add<L>(sums, wide.data() + v * L);
  }
  return sums;
}

}  // namespace

float mean_in_fixed_order(const at::Tensor& x) {
  const auto* const values = x.const_data_ptr<float>();
  const std::int64_t n = x.numel();
  float total = 0;
  if (n < kLanes) {
    total = sum_of_vectors<1>(values, n)[0];
  } else {
    for (std::int64_t i = n / kLanes * kLanes; i < n; ++i) {
      total += values[i];
    }
    for (const float lane : sum_of_vectors<kLanes>(values, n)) {
      total += lane;
    }
  }
  return total / static_cast<float>(n);
}

}  // namespace allreco::model::ops
