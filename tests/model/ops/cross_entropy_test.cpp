// Cross-entropy against a loop in double precision and numeric derivatives.
#include "model/ops/cross_entropy.h"

#include <ATen/Parallel.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/scatter.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "core/check.h"
#include "model/ops/compare.h"

namespace allreco::model::ops {
namespace {

constexpr at::ScalarType kDtypes[] = {at::kFloat, at::kDouble, at::kBFloat16};

/// None, and one that bends most logits of a standard deviation of 4.
const std::optional<double> kCaps[] = {std::nullopt, 5.0};

/// In double precision: the logits that a cap makes of what is given, and their slope.
at::Tensor capped(const at::Tensor& x, std::optional<double> cap) { return cap ? (x / *cap).tanh() * *cap : x; }
at::Tensor slope_of(const at::Tensor& x, std::optional<double> cap) {
  return cap ? (x / *cap).cosh().square().reciprocal() : at::ones_like(x);
}

/// Units of a capped logit, absolute: tanh to 4, its argument and the product to 1, of values up to the cap.
double cap_units(std::optional<double> cap) { return cap ? 6 * *cap : 0; }

/// log(sum exp) of a row, by a loop.
double naive_log_sum_exp(const at::Tensor& row) {
  const at::Tensor values = row.to(at::kDouble).contiguous();
  const double* const x = values.const_data_ptr<double>();
  double largest = x[0], sum = 0;
  for (std::int64_t j = 1; j < values.numel(); ++j) {
    largest = std::max(largest, x[j]);
  }
  for (std::int64_t j = 0; j < values.numel(); ++j) {
    sum += std::exp(x[j] - largest);
  }
  return largest + std::log(sum);
}

void expect_cross_entropy(at::ScalarType dtype, std::int64_t vocab, std::optional<double> cap) {
  const std::int64_t rows = 5;
  const std::string name =
      std::string(c10::toString(dtype)) + " vocabulary " + std::to_string(vocab) + (cap ? " capped" : "");
  // Rows of a wider buffer, as chunks of a reused workspace are.
  at::Tensor buffer = at::full({rows, vocab + 3}, 7.0, at::TensorOptions().dtype(dtype));
  at::Tensor logits = buffer.narrow(1, 0, vocab);
  logits.copy_((normal({rows, vocab}, at::kDouble) * 4).to(dtype));
  const at::Tensor targets = at::randint(vocab, {rows}, at::kLong), original = logits.to(at::kDouble);
  at::Tensor losses = at::zeros({rows}, at::kDouble), gradient = at::zeros({rows, vocab}, at::kDouble);
  for (std::int64_t t = 0; t < rows; ++t) {
    const at::Tensor y = capped(original[t], cap), slope = slope_of(original[t], cap);
    const double lse = naive_log_sum_exp(y);
    const std::int64_t target = targets[t].item<std::int64_t>();
    losses[t].fill_(lse - y[target].item<double>());
    gradient[t].copy_((y - lse).exp() * 0.125);
    gradient[t][target].sub_(0.125);
    gradient[t].mul_(slope);
  }
  const at::Tensor found = cross_entropy_with_gradient(logits, targets, 0.125, cap);
  EXPECT_EQ(found.scalar_type(), dtype == at::kDouble ? at::kDouble : at::kFloat);
  // The log-sum-exp, below 32, is computed in double from exponentials good to 2 units, summed 2048 / 16 a lane:
  // 130 units relative in the sum are absolute in its logarithm (worst case; a random walk gives 12), and the loss
  // is rounded once.
  // A cap moves every logit by its units.
  const double unit = computed_unit(dtype), units = 130 + 2 * cap_units(cap);
  expect_close(found, losses, units * unit, unit, name + " loss");
  // Probabilities inherit that, the rounding of x - lse (32 units / 2) and of exp, relatively.
  // A slope has 4 units more, and the rounding of x / c, of which it is a function: up to |2 x / c| < 8 units.
  const double slope_units = cap ? 12 : 0;
  // At the target, p - 1 cancels: there the error of p, at most 1, stays absolute.
  const at::Tensor at_target = targets.unsqueeze(1);
  expect_close(logits.gather(1, at_target), gradient.gather(1, at_target), (units + 30) * unit * 0.125,
               unit_of(dtype) / 2, name + " gradient at the target");
  expect_close(logits.scatter(1, at_target, 0), gradient.scatter(1, at_target, 0), 0x1p-126,
               (units + 30 + slope_units) * unit + unit_of(dtype) / 2, name + " gradient");
  expect_same_bits(buffer.narrow(1, vocab, 3), at::full({rows, 3}, 7.0, buffer.options()), name + " beyond the row");
}

TEST(OpsCrossEntropy, LossAndGradientMatchALoop) {
  for (const at::ScalarType dtype : kDtypes) {
    for (const std::int64_t vocab : {1, 7, 16, 512, 2049, 32003}) {
      for (const std::optional<double> cap : kCaps) {
        expect_cross_entropy(dtype, vocab, cap);
      }
    }
  }
}

TEST(OpsCrossEntropy, GradientMatchesNumericDerivatives) {
  for (const std::optional<double> cap : {std::optional<double>(), std::optional<double>(1.5)}) {
    at::Tensor logits = normal({3, 19}, at::kDouble);
    const at::Tensor targets = at::randint(19, {3}, at::kLong);
    const auto loss = [&] {
      at::Tensor copy = logits.clone();
      return cross_entropy_with_gradient(copy, targets, 1, cap).sum().item<double>();
    };
    at::Tensor gradient = logits.clone();
    cross_entropy_with_gradient(gradient, targets, 0.5, cap);
    // Truncation step^2 / 6 * third derivative (below 1), rounding 2^-52 * 10 / step; a factor 10 for the tail.
    const double step = 1e-5, tolerance = 10 * (step * step + 0x1p-52 * 10 / step);
    for (std::int64_t i = 0; i < logits.numel(); ++i) {
      double* const value = logits.mutable_data_ptr<double>() + i;
      const double kept = *value;
      *value = kept + step;
      const double above = loss();
      *value = kept - step;
      const double below = loss();
      *value = kept;
      EXPECT_NEAR(gradient.const_data_ptr<double>()[i], 0.5 * (above - below) / (2 * step), tolerance) << i;
    }
  }
}

TEST(OpsCrossEntropy, ExtremeLogits) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  // A certain prediction: loss 0, no NaN; its opposite: the loss is the difference; masked (-inf) words have
  // probability 0; a NaN shows.
  at::Tensor logits = at::zeros({4, 3000}, at::kFloat);
  logits[0][5].fill_(1e4);
  logits[1][5].fill_(1e4);
  logits[2].fill_(-kInfinity);
  logits[2][2999].fill_(3), logits[2][7].fill_(3);
  logits[3][2500].fill_(std::nan(""));
  const at::Tensor targets = at::zeros({4}, at::kLong);
  targets[0].fill_(5), targets[2].fill_(7);
  const at::Tensor loss = cross_entropy_with_gradient(logits, targets, 1);
  EXPECT_EQ(loss[0].item<float>(), 0);
  EXPECT_EQ(logits[0].abs().max().item<float>(), 0);
  EXPECT_EQ(loss[1].item<float>(), 1e4f);
  EXPECT_EQ(logits[1][0].item<float>(), -1);
  EXPECT_NEAR(loss[2].item<float>(), std::log(2.0), 0x1p-23);
  EXPECT_NEAR(logits[2][2999].item<float>(), 0.5, 0x1p-22);
  EXPECT_EQ(logits[2][0].item<float>(), 0);
  EXPECT_TRUE(std::isnan(loss[3].item<float>()) && logits[3].isnan().all().item<bool>());
}

// A capped logit of any size has a finite loss; one that is masked (-inf) is a logit of -c.
TEST(OpsCrossEntropy, ExtremeLogitsUnderACap) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  at::Tensor logits = at::zeros({3, 21}, at::kFloat);
  logits[0][20].fill_(kInfinity), logits[0][3].fill_(-kInfinity);
  logits[1][20].fill_(3e38f), logits[1][3].fill_(-3e38f);
  logits[2][20].fill_(std::nan(""));
  const at::Tensor loss = cross_entropy_with_gradient(logits, at::full({3}, 20, at::kLong), 1, 2.0);
  const double wanted = std::log(19 + std::exp(2.0) + std::exp(-2.0)) - 2;
  for (const std::int64_t row : {0, 1}) {
    EXPECT_NEAR(loss[row].item<float>(), wanted, 30 * 0x1p-23) << row;
    EXPECT_EQ(logits[row][20].item<float>(), 0) << row;  // flat there
    EXPECT_EQ(logits[row][3].item<float>(), 0) << row;
    EXPECT_NEAR(logits[row][0].item<float>(), std::exp(-wanted - 2), 30 * 0x1p-23) << row;
  }
  EXPECT_TRUE(std::isnan(loss[2].item<float>()) && logits[2].isnan().all().item<bool>());
  EXPECT_THROW(cross_entropy_with_gradient(logits, at::zeros({3}, at::kLong), 1, 0.0), core::Fault);
}

TEST(OpsCrossEntropy, SoftCapMatchesTheFormula) {
  for (const at::ScalarType dtype : kDtypes) {
    for (const double cap : {0.7, 2.5, 30.0}) {
      at::Tensor buffer = at::full({4, 1006}, 7.0, at::TensorOptions().dtype(dtype));
      at::Tensor x = buffer.narrow(1, 0, 1003);
      x.copy_((normal({4, 1003}, at::kDouble) * cap).to(dtype));
      const at::Tensor wanted = capped(x.to(at::kDouble), cap);
      soft_cap_in_place(x, cap);
      expect_close(x, wanted, 0, 6 * computed_unit(dtype) + unit_of(dtype) / 2, c10::toString(dtype));
      EXPECT_TRUE(buffer.narrow(1, 1003, 3).eq(7).all().item<bool>());
    }
  }
}

TEST(OpsCrossEntropy, GatherReadsOnlyWhatIsAsked) {
  for (const at::ScalarType dtype : kDtypes) {
    for (const std::optional<double> cap : kCaps) {
      const at::Tensor logits = normal({6, 1003}, dtype), before = logits.clone();
      const at::Tensor rows = at::randint(6, {40}, at::kLong), targets = at::randint(1003, {40}, at::kLong);
      const at::Tensor found = gather_log_softmax(logits, rows, targets, cap);
      EXPECT_EQ(found.scalar_type(), at::kDouble);
      at::Tensor wanted = at::zeros({40}, at::kDouble);
      for (std::int64_t i = 0; i < 40; ++i) {
        const at::Tensor row = capped(logits[rows[i].item<std::int64_t>()].to(at::kDouble), cap);
        wanted[i].fill_(row[targets[i].item<std::int64_t>()].item<double>() - naive_log_sum_exp(row));
      }
      expect_close(found, wanted, (70 + 2 * cap_units(cap)) * computed_unit(dtype), 0,
                   c10::toString(dtype));  // 1003 / 16 terms a lane
      expect_same_bits(logits, before, "logits");
      EXPECT_THROW(gather_log_softmax(logits, at::full({1}, 6, at::kLong), at::zeros({1}, at::kLong)), core::Fault);
      EXPECT_THROW(gather_log_softmax(logits, at::zeros({1}, at::kLong), at::full({1}, -1, at::kLong)), core::Fault);
    }
  }
}

TEST(OpsCrossEntropy, NumberOfThreadsChangesNoBit) {
  const at::Tensor logits = normal({40, 5001}, at::kFloat), targets = at::randint(5001, {40}, at::kLong);
  const int before = at::get_num_threads();
  std::vector<at::Tensor> first;
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    at::Tensor gradient = logits.clone();
    const at::Tensor loss = cross_entropy_with_gradient(gradient, targets, 0.1);
    const std::vector<at::Tensor> all = {gather_log_softmax(logits, at::arange(40, at::kLong), targets), loss,
                                         gradient};
    first = first.empty() ? all : first;
    for (std::size_t i = 0; i < all.size(); ++i) {
      expect_same_bits(all[i], first[i], "tensor " + std::to_string(i));
    }
  }
  at::set_num_threads(before);
}

}  // namespace
}  // namespace allreco::model::ops
