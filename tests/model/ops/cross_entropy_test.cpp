// Cross-entropy against a loop in double precision and numeric derivatives.
#include "model/ops/cross_entropy.h"

#include <ATen/Parallel.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/gather.h>
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

TEST(OpsCrossEntropy, LossAndGradientMatchALoop) {
  for (const at::ScalarType dtype : kDtypes) {
    for (const std::int64_t vocab : {1, 7, 16, 512, 2049, 32003}) {
      const std::int64_t rows = 5;
      const std::string name = std::string(c10::toString(dtype)) + " vocabulary " + std::to_string(vocab);
      // Rows of a wider buffer, as chunks of a reused workspace are.
      at::Tensor buffer = at::full({rows, vocab + 3}, 7.0, at::TensorOptions().dtype(dtype));
      at::Tensor logits = buffer.narrow(1, 0, vocab);
      logits.copy_((normal({rows, vocab}, at::kDouble) * 4).to(dtype));
      const at::Tensor targets = at::randint(vocab, {rows}, at::kLong), original = logits.to(at::kDouble);
      at::Tensor losses = at::zeros({rows}, at::kDouble), gradient = at::zeros({rows, vocab}, at::kDouble);
      for (std::int64_t t = 0; t < rows; ++t) {
        const double lse = naive_log_sum_exp(original[t]);
        const std::int64_t target = targets[t].item<std::int64_t>();
        losses[t].fill_(lse - original[t][target].item<double>());
        gradient[t].copy_((original[t] - lse).exp() * 0.125);
        gradient[t][target].sub_(0.125);
      }
      const at::Tensor found = cross_entropy_with_gradient(logits, targets, 0.125);
      EXPECT_EQ(found.scalar_type(), dtype == at::kDouble ? at::kDouble : at::kFloat);
      // The log-sum-exp, below 32, is computed in double from exponentials good to 2 units, summed 2048 / 16 a lane:
      // 130 units relative in the sum are absolute in its logarithm (worst case; a random walk gives 12), and the loss
      // is rounded once.
      const double unit = computed_unit(dtype);
      expect_close(found, losses, 130 * unit, unit, name + " loss");
      // Probabilities inherit that, the rounding of x - lse (32 units / 2) and of exp, relatively.
      // At the target, p - 1 cancels: there the error of p, at most 1, stays absolute.
      const at::Tensor at_target = targets.unsqueeze(1);
      expect_close(logits.gather(1, at_target), gradient.gather(1, at_target), 160 * unit * 0.125, unit_of(dtype) / 2,
                   name + " gradient at the target");
      expect_close(logits.scatter(1, at_target, 0), gradient.scatter(1, at_target, 0), 0x1p-126,
                   160 * unit + unit_of(dtype) / 2, name + " gradient");
      expect_same_bits(buffer.narrow(1, vocab, 3), at::full({rows, 3}, 7.0, buffer.options()),
                       name + " beyond the row");
    }
  }
}

TEST(OpsCrossEntropy, GradientMatchesNumericDerivatives) {
  at::Tensor logits = normal({3, 19}, at::kDouble);
  const at::Tensor targets = at::randint(19, {3}, at::kLong);
  const auto loss = [&] {
    at::Tensor copy = logits.clone();
    return cross_entropy_with_gradient(copy, targets, 1).sum().item<double>();
  };
  at::Tensor gradient = logits.clone();
  cross_entropy_with_gradient(gradient, targets, 0.5);
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

TEST(OpsCrossEntropy, GatherReadsOnlyWhatIsAsked) {
  for (const at::ScalarType dtype : kDtypes) {
    const at::Tensor logits = normal({6, 1003}, dtype), before = logits.clone();
    const at::Tensor rows = at::randint(6, {40}, at::kLong), targets = at::randint(1003, {40}, at::kLong);
    const at::Tensor found = gather_log_softmax(logits, rows, targets);
    EXPECT_EQ(found.scalar_type(), at::kDouble);
    at::Tensor wanted = at::zeros({40}, at::kDouble);
    for (std::int64_t i = 0; i < 40; ++i) {
      const at::Tensor row = logits[rows[i].item<std::int64_t>()];
      wanted[i].fill_(row[targets[i].item<std::int64_t>()].to(at::kDouble).item<double>() - naive_log_sum_exp(row));
    }
    expect_close(found, wanted, 70 * computed_unit(dtype), 0,
                 c10::toString(dtype));  // 1003 / 16 terms a lane
    expect_same_bits(logits, before, "logits");
    EXPECT_THROW(gather_log_softmax(logits, at::full({1}, 6, at::kLong), at::zeros({1}, at::kLong)), core::Fault);
    EXPECT_THROW(gather_log_softmax(logits, at::zeros({1}, at::kLong), at::full({1}, -1, at::kLong)), core::Fault);
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
