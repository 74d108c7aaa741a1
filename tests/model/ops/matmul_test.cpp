// Products against loops in double precision. Run once more with ATEN_CPU_CAPABILITY=avx2, so that both ways of
// bfloat16 are covered on any machine.
#include "model/ops/matmul.h"

#include <ATen/Version.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "model/ops/compare.h"

namespace allreco::model::ops {
namespace {

const std::vector<std::array<std::int64_t, 3>> kShapes = {{1, 1, 1}, {1, 33, 7}, {5, 64, 3}, {70, 172, 65}};  // M, K, N

/// What `actual` should be, beta out + alpha a b, with sums in any order of float32 or better and one rounding at the
/// end: |error| <= K 2^-24 sum |a||b| |alpha|, then half a unit of the dtype (times 2: some of libtorch's paths round
/// the product before they add).
void expect_product(const at::Tensor& actual, const at::Tensor& out, const at::Tensor& a, const at::Tensor& b,
                    double beta, double alpha) {
  const at::Tensor x = a.to(at::kDouble), y = b.to(at::kDouble);
  at::Tensor expected = at::mm(x, y) * alpha;
  at::Tensor size = at::mm(x.abs(), y.abs()) * std::abs(alpha);
  if (beta != 0) {
    expected += out.to(at::kDouble) * beta;
    size += out.to(at::kDouble).abs() * std::abs(beta);
  }
  const at::ScalarType dtype = actual.scalar_type();
  const double bound = static_cast<double>(a.size(1) + 2) * computed_unit(dtype) / 2 + unit_of(dtype);
  const at::Tensor ratio = (actual.to(at::kDouble) - expected).abs() / (size * bound);
  EXPECT_LE(ratio.max().item<double>(), 1.0)
      << c10::toString(dtype) << " [" << a.size(0) << ", " << a.size(1) << "] x [" << b.size(0) << ", " << b.size(1)
      << "], beta " << beta << ", alpha " << alpha;
}

TEST(OpsProduct, EqualsTheDoubleProduct) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    for (const auto& [m, k, n] : kShapes) {
      const at::Tensor a = normal({m, k}, dtype), b = normal({n, k}, dtype).t(), out = normal({m, n}, dtype);
      expect_product(ops::mm(a, b), out, a, b, 0, 1);
      at::Tensor into = at::empty({m, n}, out.options());
      mm_into(into, a, b);
      expect_product(into, out, a, b, 0, 1);
      for (const double beta : {0.0, 1.0, 0.5}) {
        at::Tensor sum = out.clone();
        addmm_(sum, a, b, beta, -1.5);
        expect_product(sum, out, a, b, beta, -1.5);
      }
    }
  }
}

// Large enough to be widened in pieces: of columns, as for logits, and of rows, as for their gradient.
TEST(OpsProduct, LargeWeights) {
  const at::Tensor weight = normal({4200, 4100}, at::kBFloat16), x = normal({2, 4100}, at::kBFloat16);
  const at::Tensor dy = normal({2, 4200}, at::kBFloat16), dx = normal({2, 4100}, at::kBFloat16);
  expect_product(ops::mm(x, weight.t()), dy, x, weight.t(), 0, 1);
  at::Tensor sum = dx.clone();
  addmm_(sum, dy, weight, 0.5);
  expect_product(sum, dx, dy, weight, 0.5, 1);
}

TEST(OpsProduct, WritesIntoViews) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const at::Tensor a = normal({6, 20}, dtype), b = normal({20, 9}, dtype);
    at::Tensor wide = at::full({6, 30}, 7, a.options());
    addmm_(wide.narrow(1, 4, 9), a, b, /*beta=*/0);
    expect_product(wide.narrow(1, 4, 9), wide, a, b, 0, 1);
    EXPECT_TRUE(wide.narrow(1, 0, 4).eq(7).all().item<bool>());
    EXPECT_TRUE(wide.narrow(1, 13, 17).eq(7).all().item<bool>());
  }
}

/// A bias is a row of the sum, rounded with it.
TEST(OpsProduct, AddsABiasToEveryRow) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    for (const auto& [m, k, n] : kShapes) {
      const at::Tensor a = normal({m, k}, dtype), b = normal({n, k}, dtype).t(), bias = normal({n}, dtype);
      expect_product(addmm(bias, a, b), bias.expand({m, n}), a, b, 1, 1);
    }
  }
}

TEST(OpsProduct, BetaZeroForgetsWhatWasThere) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const at::Tensor a = normal({3, 5}, dtype), b = normal({5, 4}, dtype);
    at::Tensor out = at::full({3, 4}, std::numeric_limits<double>::quiet_NaN(), a.options());
    addmm_(out, a, b, /*beta=*/0, /*alpha=*/2);
    expect_product(out, out, a, b, 0, 2);
  }
}

TEST(OpsProduct, WidensWhereLibtorchHasNoFastProduct) {
  EXPECT_EQ(widens_products(at::kBFloat16), at::get_cpu_capability() != "AVX512");
  EXPECT_FALSE(widens_products(at::kFloat));
  EXPECT_FALSE(widens_products(at::kDouble));
}

}  // namespace
}  // namespace allreco::model::ops
