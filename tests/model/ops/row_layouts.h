// Rows as the tests of the row kernels lay them: dense or with gaps, aligned or not, amid NaNs.
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isnan.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "model/ops/compare.h"
#include "model/ops/cuda/device.cuh"

namespace allreco::model::ops {

inline constexpr at::ScalarType kDtypes[] = {at::kFloat, at::kBFloat16};
/// An element, less than a pack, packs, packs and a part; several packs a thread; both at TinyLlama's sizes.
inline constexpr std::int64_t kWidths[] = {1, 7, 8, 16, 515, 2048, 2061, 5632};
inline constexpr std::int64_t kRows = 3;
inline constexpr float kInfinity = std::numeric_limits<float>::infinity(),
                       kNan = std::numeric_limits<float>::quiet_NaN();
struct Nothing {};  // shared memory of kernels that have none

/// How rows lie in their buffer: where the first begins and what is between two, in elements.
struct Layout {
  std::int64_t before, between;
};
inline constexpr Layout kLayouts[] = {{0, 0}, {16, 24}, {0, 3}, {1, 0}};

/// Rows in a buffer of their own, full of NaN around them.
struct Rows {
  at::Tensor buffer, rows;
  Layout layout;

  Rows(const at::Tensor& t, const Layout& where) : layout(where) {
    const std::int64_t stride = t.size(1) + layout.between;
    buffer = at::full({layout.before + t.size(0) * stride + 16}, kNan, t.options());
    rows = buffer.as_strided(t.sizes(), {stride, 1}, layout.before);
    rows.copy_(t);
  }
  /// Nothing around the rows was written.
  void expect_guards(const std::string& what) const {
    const at::Tensor copy = buffer.clone();
    copy.as_strided(rows.sizes(), rows.strides(), layout.before).fill_(kNan);
    EXPECT_TRUE(copy.isnan().all().item<bool>()) << what << ": written outside of the rows";
  }
};

inline std::string name_of(at::ScalarType dtype, std::int64_t width, const Layout& layout) {
  return std::string(c10::toString(dtype)) + " width " + std::to_string(width) + " layout " +
         std::to_string(layout.before) + "+" + std::to_string(layout.between) + " ";
}

/// Calls f(T(), dtype, width, layout, backwards).
template <class F>
void for_cases(const F& f) {
  for (const at::ScalarType dtype : kDtypes) {
    for (const std::int64_t width : kWidths) {
      for (const Layout& layout : kLayouts) {
        for (const bool backwards : {false, true}) {
          dtype == at::kFloat ? f(float(), dtype, width, layout, backwards)
                              : f(cuda::Bf16Bits(), dtype, width, layout, backwards);
        }
      }
    }
  }
}

inline at::Tensor dirty(at::IntArrayRef sizes, at::ScalarType dtype) {
  return at::full(sizes, kNan, at::TensorOptions().dtype(dtype));
}

/// NaN at the same places, the same numbers (infinities too) elsewhere.
inline void expect_same_values(const at::Tensor& found, const at::Tensor& wanted, const std::string& what) {
  expect_same_bits(found.isnan(), wanted.isnan(), what + " where NaN");
  expect_same_bits(found.nan_to_num(0, kInfinity, -kInfinity), wanted.nan_to_num(0, kInfinity, -kInfinity), what);
}

}  // namespace allreco::model::ops
