// The source of cross-entropy's GPU kernels, run on the host block by block, phase by phase, thread by thread, against
// the CPU kernels. The ops themselves on a GPU: device_test.cpp.
#include "model/ops/cuda/cross_entropy_kernels.cuh"

#include <ATen/ops/full.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/scatter.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>
#include <string>

#include "model/ops/compare.h"
#include "model/ops/cross_entropy.h"
#include "model/ops/cuda/row_arguments.h"
#include "model/ops/row_layouts.h"
#include "model/ops/thread_blocks.h"

namespace allreco::model::ops {
namespace {

template <class T>
void run_cross_entropy(const cuda::CrossEntropyArguments& a, bool backwards) {
  using cuda::ThreadPlace, cuda::SoftmaxShared;
  run_blocks<SoftmaxShared>(
      threads_of(a), a.num_rows, backwards,
      [&](const ThreadPlace& place, SoftmaxShared& shared) { cuda::cross_entropy_sum<T>(place, a, shared); },
      [&](const ThreadPlace& place, SoftmaxShared& shared) { cuda::gather_softmax(place, shared); },
      [&](const ThreadPlace& place, SoftmaxShared& shared) { cuda::cross_entropy_loss<T>(place, a, shared); },
      [&](const ThreadPlace& place, SoftmaxShared& shared) { cuda::cross_entropy_gradient<T>(place, a, shared); });
}

template <class T>
at::Tensor run_gather_log_softmax(const at::Tensor& logits, const at::Tensor& rows, const at::Tensor& targets,
                                  std::optional<double> cap, bool backwards) {
  using cuda::ThreadPlace, cuda::SoftmaxShared;
  at::Tensor log_sum_exp = dirty({logits.size(0)}, at::kDouble), log_p = dirty({rows.size(0)}, at::kDouble);
  const auto a = cuda::log_sum_exp_arguments(log_sum_exp, logits, cap);
  run_blocks<SoftmaxShared>(
      threads_of(a), a.num_rows, backwards,
      [&](const ThreadPlace& place, SoftmaxShared& shared) { cuda::log_sum_exp_sum<T>(place, a, shared); },
      [&](const ThreadPlace& place, SoftmaxShared& shared) { cuda::gather_softmax(place, shared); },
      [&](const ThreadPlace& place, SoftmaxShared& shared) { cuda::log_sum_exp_write(place, a, shared); });
  const auto g = cuda::gather_arguments(log_p, logits, log_sum_exp, rows, targets, cap);
  run_blocks<Nothing>(8, 2, backwards, [&](const ThreadPlace& place, Nothing&) { cuda::gather_log_p<T>(place, g); });
  return log_p;
}

/// Units of the log-sum-exp: half of one for each addition behind another, in a thread and between threads, and 2 of
/// the exponentials; and the CPU's 130 (cross_entropy_test.cpp).
double softmax_units(std::int64_t vocab) { return 130 + 2 + (static_cast<double>(vocab) / 512 + 8 + 16 + 32) / 2; }

template <class T>
void expect_cross_entropy(at::ScalarType dtype, std::int64_t vocab, const Layout& layout, bool backwards,
                          std::optional<double> cap) {
  const std::string name = name_of(dtype, vocab, layout) + (cap ? "capped " : "");
  const Rows logits((normal({kRows, vocab}, at::kDouble) * 4).to(dtype), layout);
  logits.rows[kRows - 1][vocab / 2] = 40;  // nearly certain
  const at::Tensor targets = at::randint(vocab, {kRows}, at::kLong);
  targets[kRows - 1] = vocab / 2;
  const at::Tensor rows = at::randint(kRows, {40}, at::kLong), asked = at::randint(vocab, {40}, at::kLong);
  // A cap moves every logit: tanh to 4 units on either side and 3 of its argument and product, of values up to the cap.
  const double units = softmax_units(vocab) + 2 * 11 * cap.value_or(0);
  // A log-sum-exp below 64.
  const at::Tensor log_p = run_gather_log_softmax<T>(logits.rows, rows, asked, cap, backwards);
  expect_close(log_p, cpu::gather_log_softmax(logits.rows, rows, asked, cap), units * 0x1p-23, 0, name + "log p");

  at::Tensor wanted_gradient = logits.rows.clone(), gradient = logits.rows, losses = dirty({kRows}, at::kFloat);
  const at::Tensor wanted = cpu::cross_entropy_with_gradient(wanted_gradient, targets, 0.125, cap);
  run_cross_entropy<T>(cuda::cross_entropy_arguments(gradient, losses, targets, 0.125, cap), backwards);
  expect_close(losses, wanted, units * 0x1p-23, 2 * 0x1p-23, name + "loss");
  // x - lse is rounded at 64 / 2 units on either side; at the target p - 1 cancels, there the error stays absolute.
  const double relative = (units + 64 + (cap ? 64 : 0)) * 0x1p-23;  // a slope is e^(-2|x/c|), |x/c| < 8
  const at::Tensor at_target = targets.unsqueeze(1);
  expect_close(gradient.gather(1, at_target), wanted_gradient.gather(1, at_target), 0.125 * relative, unit_of(dtype),
               name + "gradient at the target");
  expect_close(gradient.scatter(1, at_target, 0), wanted_gradient.scatter(1, at_target, 0), 0x1p-120,
               relative + unit_of(dtype), name + "gradient");
  logits.expect_guards(name + "gradient");
}

TEST(OpsCrossEntropyKernels, CrossEntropyAndLogSoftmax) {
  for (const std::int64_t vocab : {1, 2, 8, 512, 515, 32000, 32003, 128256}) {
    for (const Layout& layout : kLayouts) {
      for (const bool backwards : {false, true}) {
        for (const std::optional<double> cap : {std::optional<double>(), std::optional<double>(6.0)}) {
          expect_cross_entropy<float>(at::kFloat, vocab, layout, backwards, cap);
          expect_cross_entropy<cuda::Bf16Bits>(at::kBFloat16, vocab, layout, backwards, cap);
        }
      }
    }
  }
}

TEST(OpsCrossEntropyKernels, CrossEntropyOfLogitsThatAreNotFiniteIsAsOnTheCpu) {
  const at::Tensor targets = at::full({5}, 3, at::kLong);
  at::Tensor logits = at::zeros({5, 200}, at::kFloat);
  logits[0][150] = kNan;
  logits[1][150] = kInfinity;
  logits[2].fill_(-kInfinity);
  logits[3].narrow(0, 64, 136).fill_(-kInfinity);  // 64 tokens are allowed
  at::Tensor wanted_gradient = logits.clone(), losses = dirty({5}, at::kFloat);
  const at::Tensor wanted = cpu::cross_entropy_with_gradient(wanted_gradient, targets, 0.5, {});
  run_cross_entropy<float>(cuda::cross_entropy_arguments(logits, losses, targets, 0.5, {}), false);
  expect_same_bits(losses.isnan(), wanted.isnan(), "losses that are NaN");
  expect_same_bits(logits.isnan(), wanted_gradient.isnan(), "gradients that are NaN");
  // Of 64 tokens alike: p = 1/64 to the rounding of log 64, below 8, and of exp.
  EXPECT_NEAR(losses[3].item<double>(), std::log(64.0), 2 * 0x1p-22);
  EXPECT_NEAR(logits[3][0].item<double>(), 0.5 / 64, 10 * 0x1p-23 / 64);
  EXPECT_TRUE(logits[3].narrow(0, 64, 136).eq(0).all().item<bool>());
}

TEST(OpsCrossEntropyKernels, CrossEntropyRefusesTargetsOutsideOfTheVocabulary) {
  for (const std::int64_t target : {-1, 8}) {
    at::Tensor logits = normal({1, 8}, at::kFloat), losses = dirty({1}, at::kFloat);
    const at::Tensor targets = at::full({1}, target, at::kLong), rows = at::zeros({1}, at::kLong);
    EXPECT_THROW(run_cross_entropy<float>(cuda::cross_entropy_arguments(logits, losses, targets, 1, {}), false),
                 std::out_of_range);
    EXPECT_THROW(run_gather_log_softmax<float>(logits, rows, targets, {}, false), std::out_of_range);
    EXPECT_THROW(run_gather_log_softmax<float>(logits, targets, rows, {}, false), std::out_of_range);
  }
}

}  // namespace
}  // namespace allreco::model::ops
