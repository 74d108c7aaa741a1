// Comparison of an op's result with a double-precision reference, and the inputs of such tests.
#pragma once
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace allreco::model::ops {

/// Units of the last place, relative: 2^-23 of float32, 2^-52 of float64, 2^-7 of bfloat16. Rounding to nearest errs by
/// at most half of it.
inline double unit_of(at::ScalarType dtype) {
  return dtype == at::kDouble ? 0x1p-52 : dtype == at::kFloat ? 0x1p-23 : 0x1p-7;
}

/// The unit of the type in which a result of `dtype` is computed.
inline double computed_unit(at::ScalarType dtype) { return dtype == at::kDouble ? 0x1p-52 : 0x1p-23; }

/// Standard normal values that `dtype` holds exactly.
inline at::Tensor normal(at::IntArrayRef sizes, at::ScalarType dtype) {
  return at::randn(sizes, at::TensorOptions().dtype(at::kDouble)).to(dtype);
}

/// |actual - expected| <= absolute + relative * |expected|, element by element; says which element is worst.
inline void expect_close(const at::Tensor& actual, const at::Tensor& expected, double absolute, double relative,
                         const std::string& what) {
  ASSERT_EQ(actual.sizes(), expected.sizes()) << what;
  const at::Tensor a = actual.detach().to(at::kDouble).contiguous(), e = expected.detach().to(at::kDouble).contiguous();
  const double* const found = a.const_data_ptr<double>();
  const double* const wanted = e.const_data_ptr<double>();
  std::int64_t worst = -1;
  double worst_ratio = 0;
  for (std::int64_t i = 0; i < a.numel(); ++i) {
    const double ratio = std::abs(found[i] - wanted[i]) / (absolute + relative * std::abs(wanted[i]));
    if (!(ratio <= worst_ratio) && found[i] != wanted[i]) {  // a NaN is worse than anything
      worst = i, worst_ratio = ratio;
    }
  }
  if (worst >= 0) {
    EXPECT_LE(worst_ratio, 1.0) << what << ": element " << worst << " of " << a.numel() << ", expected "
                                << wanted[worst] << ", found " << found[worst] << ", tolerance "
                                << absolute + relative * std::abs(wanted[worst]);
  }
}

/// Same shape, type and bits.
inline void expect_same_bits(const at::Tensor& a, const at::Tensor& b, const std::string& what) {
  EXPECT_TRUE(a.scalar_type() == b.scalar_type() && a.equal(b)) << what;
}

}  // namespace allreco::model::ops
