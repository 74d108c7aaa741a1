// Dropout: statistics of its mask, and what the mask may depend on.
#include "model/ops/dropout.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randperm.h>
#include <gtest/gtest.h>

#include "core/check.h"
#include "model/ops/compare.h"

namespace allreco::model::ops {
namespace {

TEST(OpsDropout, KeepsTheRightShareAndScalesIt) {
  const std::int64_t rows = 500, columns = 1003;
  const double n = static_cast<double>(rows * columns);
  for (const double p : {0.05, 0.5, 0.9}) {
    const at::Tensor kept = dropout(at::full({rows, columns}, 1.0, at::kDouble), at::arange(rows, at::kLong), 11, p);
    EXPECT_TRUE(((kept == 0) | (kept == 1 / (1 - p))).all().item<bool>());
    const at::Tensor mask = (kept != 0).to(at::kDouble);
    const double sigma = std::sqrt(p * (1 - p));
    EXPECT_NEAR(mask.mean().item<double>(), 1 - p, 5 * sigma / std::sqrt(n));
    // Each row, each column: 1,503 binomial counts, none beyond 6 standard deviations (probability 3e-6 for all of
    // them).
    EXPECT_LT((mask.mean(1) - (1 - p)).abs().max().item<double>(), 6 * sigma / std::sqrt(static_cast<double>(columns)));
    EXPECT_LT((mask.mean(0) - (1 - p)).abs().max().item<double>(), 6 * sigma / std::sqrt(static_cast<double>(rows)));
    // Neighbours in a row, in a column and at greater lags are uncorrelated: the mean product of n deviations has
    // standard deviation sigma^2 / sqrt(n).
    const at::Tensor deviation = mask - (1 - p);
    for (const std::int64_t lag : {1, 2, 16, 64, 256}) {
      for (const int dim : {0, 1}) {
        const std::int64_t length = mask.size(dim) - lag;
        const double product =
            (deviation.narrow(dim, 0, length) * deviation.narrow(dim, lag, length)).mean().item<double>();
        EXPECT_LT(std::abs(product), 5 * sigma * sigma / std::sqrt(n / 2))
            << "p " << p << " lag " << lag << " dim " << dim;
      }
    }
  }
}

TEST(OpsDropout, MaskIsAFunctionOfKeyRowKeyAndColumnOnly) {
  const at::Tensor keys = at::arange(64, at::kLong) * 1000003 - 7;
  const at::Tensor ones = at::full({64, 77}, 1.0, at::kFloat);
  const at::Tensor mask = dropout(ones, keys, 5, 0.3);
  expect_same_bits(dropout(ones, keys, 5, 0.3), mask, "again: the backward's mask is the forward's");
  const at::Tensor order = at::randperm(64, at::kLong);
  expect_same_bits(dropout(ones, keys.index_select(0, order), 5, 0.3), mask.index_select(0, order),
                   "rows in another order");
  expect_same_bits(dropout(ones.narrow(1, 0, 31), keys, 5, 0.3), mask.narrow(1, 0, 31), "fewer columns, strided rows");
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    const at::Tensor x = normal({64, 77}, dtype);
    const at::Tensor wanted = x.to(at::kDouble) * (mask != 0).to(at::kDouble) / 0.7;
    expect_close(dropout(x, keys, 5, 0.3), wanted, 0, unit_of(dtype) / 2 + 2 * computed_unit(dtype),
                 c10::toString(dtype));
  }
  const auto share_equal = [&](const at::Tensor& other) {
    return ((other != 0) == (mask != 0)).to(at::kDouble).mean().item<double>();
  };
  // Independent masks agree with probability 0.7^2 + 0.3^2 = 0.58; 5 standard deviations of 4,928 draws.
  EXPECT_NEAR(share_equal(dropout(ones, keys, 6, 0.3)), 0.58, 5 * 0.494 / std::sqrt(4928.0)) << "another key";
  EXPECT_NEAR(share_equal(dropout(ones, keys + 1, 5, 0.3)), 0.58, 5 * 0.494 / std::sqrt(4928.0))
      << "neighbouring row keys";
  EXPECT_THROW(dropout(ones, keys, 5, 0.0), core::Fault);
  EXPECT_THROW(dropout(ones, keys, 5, 1.0), core::Fault);
}

TEST(OpsDropout, AddsTheRoundedValues) {
  const at::Tensor keys = at::arange(9, at::kLong);
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    const at::Tensor x = normal({9, 70}, dtype), before = normal({9, 70}, dtype);
    at::Tensor sum = before.clone();
    dropout_add(sum, x, keys, 5, 0.3);
    expect_same_bits(sum, before + dropout(x, keys, 5, 0.3), c10::toString(dtype));
  }
}

}  // namespace
}  // namespace allreco::model::ops
