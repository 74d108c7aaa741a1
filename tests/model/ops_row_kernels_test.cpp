// The source of the row ops' GPU kernels, run on the host block by block, phase by phase, thread by thread: against the
// CPU kernels, and against the bits of the ATen path where both round at the same places. The ops themselves on a GPU:
// ops_device_test.cpp.
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "model/ops/backends.h"
#include "model/ops/cuda/cross_entropy_kernels.cuh"
#include "model/ops/cuda/dropout_kernels.cuh"
#include "model/ops/cuda/rms_norm_kernels.cuh"
#include "model/ops/cuda/rope_kernels.cuh"
#include "model/ops/cuda/row_arguments.h"
#include "model/ops/cuda/swiglu_kernels.cuh"
#include "ops_compare.h"
#include "thread_blocks.h"

namespace allreco::model::ops {
namespace {

constexpr at::ScalarType kDtypes[] = {at::kFloat, at::kBFloat16};
/// An element, less than a pack, packs, packs and a part; several packs a thread; both at TinyLlama's sizes.
constexpr std::int64_t kWidths[] = {1, 7, 8, 16, 515, 2048, 2061, 5632};
constexpr std::int64_t kRows = 3;
constexpr float kInfinity = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();
struct Nothing {};  // shared memory of kernels that have none

/// How rows lie in their buffer: where the first begins and what is between two, in elements.
struct Layout {
  std::int64_t before, between;
};
constexpr Layout kLayouts[] = {{0, 0}, {16, 24}, {0, 3}, {1, 0}};

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

std::string name_of(at::ScalarType dtype, std::int64_t width, const Layout& layout) {
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

at::Tensor dirty(at::IntArrayRef sizes, at::ScalarType dtype) {
  return at::full(sizes, kNan, at::TensorOptions().dtype(dtype));
}

/// NaN at the same places, the same numbers (infinities too) elsewhere.
void expect_same_values(const at::Tensor& found, const at::Tensor& wanted, const std::string& what) {
  expect_same_bits(found.isnan(), wanted.isnan(), what + " where NaN");
  expect_same_bits(found.nan_to_num(0, kInfinity, -kInfinity), wanted.nan_to_num(0, kInfinity, -kInfinity), what);
}

template <class T>
void run_norm(const cuda::RmsNormArguments& a, bool backwards) {
  using cuda::ThreadPlace, cuda::NormShared;
  run_blocks<NormShared>(
      threads_of(a), a.num_rows, backwards,
      [&](const ThreadPlace& place, NormShared& shared) { cuda::norm_square<T>(place, a, shared); },
      [&](const ThreadPlace& place, NormShared& shared) { cuda::gather_sums(place, shared); },
      [&](const ThreadPlace& place, NormShared& shared) { cuda::norm_write<T>(place, a, shared); });
}

template <class T>
void run_norm_backward(const cuda::RmsNormBackwardArguments& a, bool backwards) {
  using cuda::ThreadPlace, cuda::NormShared;
  run_blocks<NormShared>(
      threads_of(a), a.num_rows, backwards,
      [&](const ThreadPlace& place, NormShared& shared) { cuda::norm_backward_sum<T>(place, a, shared); },
      [&](const ThreadPlace& place, NormShared& shared) { cuda::gather_sums(place, shared); },
      [&](const ThreadPlace& place, NormShared& shared) { cuda::norm_backward_write<T>(place, a, shared); });
}

/// Additions one behind another, half a unit each: the CPU's, of a width in eight lanes at least, and the kernel's, of
/// up to 24 in a thread and 8 and 32 between threads.
double sum_units(std::int64_t width) { return static_cast<double>(width) / 16 + 32; }

TEST(OpsRowKernels, ThreadsAreWholeWarpsThatTakeThePacksInAsFewRoundsAsTheyCan) {
  EXPECT_EQ(cuda::row_threads(1, 256), 32U);
  EXPECT_EQ(cuda::row_threads(33, 256), 64U);
  EXPECT_EQ(cuda::row_threads(256, 256), 256U);
  EXPECT_EQ(cuda::row_threads(300, 256), 160U);  // two rounds of 150
  EXPECT_EQ(cuda::row_threads(704, 256), 256U);  // three of 235
  EXPECT_EQ(cuda::row_threads(4000, 512), 512U);
}

TEST(OpsRowKernels, RmsNormAndItsRecomputation) {
  for_cases([](auto type, at::ScalarType dtype, std::int64_t width, const Layout& layout, bool backwards) {
    using T = decltype(type);
    const std::string name = name_of(dtype, width, layout);
    const Rows x(normal({kRows, width}, dtype), layout);
    const at::Tensor weight = normal({width}, dtype), before = x.buffer.clone();
    at::Tensor y = dirty({kRows, width}, dtype), rstd = dirty({kRows}, at::kFloat), again = dirty(y.sizes(), dtype);
    run_norm<T>(cuda::rms_norm_arguments(y, rstd, x.rows, nullptr, weight, 1e-5), backwards);
    const NormOutput wanted = cpu::rms_norm(x.rows, weight, 1e-5);
    const double units = sum_units(width) / 2 * 2 + 4;  // of two sums, halved by the root; and the rest
    expect_close(rstd, wanted.rstd, 0, units * 0x1p-23, name + "rstd");
    expect_close(y, wanted.y, 0, units * 0x1p-23 + 2 * unit_of(dtype), name + "y");
    // With the same rstd: the bits of the ATen path.
    expect_same_bits(y, cuda::rms_norm_recompute(x.rows, rstd, weight), name + "y of rstd");
    const auto a = cuda::rms_norm_recompute_arguments(again, x.rows, rstd, weight);
    run_blocks<Nothing>(threads_of(a), a.num_rows, backwards,
                        [&](const cuda::ThreadPlace& place, Nothing&) { cuda::norm_recompute<T>(place, a); });
    expect_same_bits(again, y, name + "y again");
    expect_same_values(x.buffer, before, name + "x is only read");
  });
}

TEST(OpsRowKernels, RmsNormAddsTheResidualInPlace) {
  for_cases([](auto type, at::ScalarType dtype, std::int64_t width, const Layout& layout, bool backwards) {
    using T = decltype(type);
    const std::string name = name_of(dtype, width, layout);
    const Rows x(normal({kRows, width}, dtype), layout), delta(normal({kRows, width}, dtype), layout);
    const at::Tensor weight = normal({width}, dtype), sum = x.rows + delta.rows;
    at::Tensor y = dirty({kRows, width}, dtype), rstd = dirty({kRows}, at::kFloat), plain_y = y.clone(),
               plain_rstd = rstd.clone();
    run_norm<T>(cuda::rms_norm_arguments(y, rstd, x.rows, &delta.rows, weight, 1e-5), backwards);
    expect_same_bits(x.rows.contiguous(), sum, name + "x");
    x.expect_guards(name + "x");
    run_norm<T>(cuda::rms_norm_arguments(plain_y, plain_rstd, sum, nullptr, weight, 1e-5), !backwards);
    expect_same_bits(rstd, plain_rstd, name + "rstd whatever the layout");
    expect_same_bits(y, plain_y, name + "y whatever the layout");
  });
}

TEST(OpsRowKernels, RmsNormBackwardAddsToDx) {
  for_cases([](auto type, at::ScalarType dtype, std::int64_t width, const Layout& layout, bool backwards) {
    using T = decltype(type);
    const std::string name = name_of(dtype, width, layout);
    const Rows dx(normal({kRows, width}, dtype), layout), dy(normal({kRows, width}, dtype), layout),
        x(normal({kRows, width}, dtype), layout);
    const at::Tensor weight = normal({width}, dtype), rstd = cpu::rms_norm(x.rows, weight, 1e-5).rstd;
    at::Tensor wanted = dx.rows.clone(), found = dx.rows;
    cpu::rms_norm_backward_add(wanted, dy.rows, x.rows, rstd, weight);
    run_norm_backward<T>(cuda::rms_norm_backward_arguments(found, dy.rows, x.rows, rstd, weight), backwards);
    // Terms rstd |w dy| (1 + x^2 rstd^2), with errors of the two sums and of eight operations on either side.
    const at::Tensor normalised = x.rows.to(at::kFloat) * rstd.unsqueeze(1);
    const double term = (rstd.max() * (weight * dy.rows).abs().max().to(at::kFloat)).item<double>() *
                        (1 + (normalised * normalised).max().item<double>());
    expect_close(found, wanted, (2 * sum_units(width) + 16) * 0x1p-23 * term, unit_of(dtype), name + "dx");
    dx.expect_guards(name + "dx");
  });
}

TEST(OpsRowKernels, NormsOfRowsThatAreNotFiniteAreAsOnTheCpu) {
  for (const float bad : {kInfinity, -kInfinity, kNan}) {
    at::Tensor x = normal({kRows, 100}, at::kFloat);
    x[1][57] = bad;
    const at::Tensor weight = normal({100}, at::kFloat);
    at::Tensor y = dirty({kRows, 100}, at::kFloat), rstd = dirty({kRows}, at::kFloat);
    run_norm<float>(cuda::rms_norm_arguments(y, rstd, x, nullptr, weight, 1e-5), false);
    const NormOutput wanted = cpu::rms_norm(x, weight, 1e-5);
    expect_same_values(y[1], wanted.y[1], "the row with " + std::to_string(bad));
    expect_same_values(rstd[1], wanted.rstd[1], "its rstd");
    EXPECT_TRUE(y[0].isfinite().all().item<bool>() && y[2].isfinite().all().item<bool>());
  }
}

TEST(OpsRowKernels, RopeGivesTheBitsOfTheAtenPathAndBack) {
  for (const at::ScalarType dtype : kDtypes) {
    for (const std::int64_t half : {1, 3, 4, 8, 12, 32, 64}) {
      for (const std::int64_t heads : {1, 5, 32}) {
        for (const std::int64_t before : {0, 1}) {
          const std::string name = std::string(c10::toString(dtype)) + " heads of " + std::to_string(2 * half);
          const std::int64_t tokens = 5, width = (heads + 3) * 2 * half;  // q of a fused q, k, v
          const at::Tensor angles = normal({50, half}, at::kDouble), positions = at::randint(50, {tokens}, at::kLong);
          const at::Tensor cos = angles.cos().to(at::kFloat), sin = angles.sin().to(at::kFloat);
          const at::Tensor start = normal({tokens * width + 1}, dtype);
          for (const bool inverse : {false, true}) {
            const at::Tensor found = start.clone(), wanted = start.clone(), close = start.clone();
            const auto heads_of = [&](const at::Tensor& t) {
              return t.as_strided({tokens, heads, 2 * half}, {width, 2 * half, 1}, before);
            };
            at::Tensor x = heads_of(found), aten = heads_of(wanted), cpu = heads_of(close);
            const auto a = cuda::rope_arguments(x, positions, cos, sin, inverse);
            run_blocks<Nothing>(threads_of(a), a.num_rows, inverse, [&](const cuda::ThreadPlace& place, Nothing&) {
              dtype == at::kFloat ? cuda::rope_rotate<float>(place, a) : cuda::rope_rotate<cuda::Bf16Bits>(place, a);
            });
            cuda::rope_in_place(aten, positions, cos, sin, inverse);
            cpu::rope_in_place(cpu, positions, cos, sin, inverse);
            expect_same_bits(found, wanted, name);
            expect_close(found, close, 3 * 0x1p-23 * 12, 3 * 0x1p-23 + unit_of(dtype), name);  // values below 12
          }
        }
      }
    }
  }
}

TEST(OpsRowKernels, RopeRefusesPositionsOutsideOfTheTables) {
  at::Tensor x = normal({1, 1, 8}, at::kFloat);
  const at::Tensor table = normal({4, 4}, at::kFloat);
  for (const std::int64_t position : {-1, 4}) {
    const at::Tensor positions = at::full({1}, position, at::kLong);
    const auto a = cuda::rope_arguments(x, positions, table, table, false);
    EXPECT_THROW(cuda::rope_rotate<float>({0, 0, 32, 1}, a), std::out_of_range);
  }
}

template <class T>
void run_swiglu(const cuda::SwigluArguments& a, bool backwards) {
  run_blocks<Nothing>(threads_of(a), a.num_rows, backwards,
                      [&](const cuda::ThreadPlace& place, Nothing&) { cuda::swiglu_write<T>(place, a); });
}

template <class T>
void run_swiglu_backward(const cuda::SwigluBackwardArguments& a, bool backwards) {
  run_blocks<Nothing>(threads_of(a), a.num_rows, backwards,
                      [&](const cuda::ThreadPlace& place, Nothing&) { cuda::swiglu_backward_write<T>(place, a); });
}

TEST(OpsRowKernels, SwigluAndItsBackward) {
  for_cases([](auto type, at::ScalarType dtype, std::int64_t width, const Layout& layout, bool backwards) {
    using T = decltype(type);
    const std::string name = name_of(dtype, width, layout);
    const Rows gate((normal({kRows, width}, at::kDouble) * 20).to(dtype), layout),
        up(normal({kRows, width}, dtype), layout), dm(normal({kRows, width}, dtype), layout);
    at::Tensor m = dirty({kRows, width}, dtype), dgate = gate.rows, dup = up.rows;
    at::Tensor wanted_dgate = gate.rows.clone(), wanted_dup = up.rows.clone();
    run_swiglu<T>(cuda::swiglu_arguments(m, gate.rows, up.rows), backwards);
    // Exponentials good to 2 units and a few operations on either side: 16. Below 2^-126 a result is 0 in one and
    // subnormal in the other.
    const double units = 16, relative = units * 0x1p-23 + unit_of(dtype), tiny = 1e-35;
    expect_close(m, cpu::swiglu(gate.rows, up.rows), tiny, relative, name + "m");
    // 1 - sigmoid cancels: terms below 1.3 |dm up|.
    const double term = 1.3 * (dm.rows * up.rows).abs().max().item<double>();
    run_swiglu_backward<T>(cuda::swiglu_backward_arguments(dm.rows, dgate, dup), backwards);
    cpu::swiglu_backward_in_place(dm.rows, wanted_dgate, wanted_dup);
    expect_close(dup, wanted_dup, tiny, relative, name + "dup");
    expect_close(dgate, wanted_dgate, units * 0x1p-23 * term + tiny, relative, name + "dgate");
    gate.expect_guards(name + "dgate");
    up.expect_guards(name + "dup");
  });
}

TEST(OpsRowKernels, SwigluOfExtremeGatesIsAsOnTheCpu) {
  const at::Tensor gate = at::tensor({0.0f, -0.0f, kInfinity, -kInfinity, kNan, 200.0f, -200.0f, 3e38f, -3e38f, 1.0f});
  const at::Tensor up = at::full({1, 10}, 0.5f), dm = at::full({1, 10}, 2.0f), g = gate.unsqueeze(0);
  at::Tensor m = dirty({1, 10}, at::kFloat);
  run_swiglu<float>(cuda::swiglu_arguments(m, g, up), false);
  const at::Tensor wanted = cpu::swiglu(g, up);
  expect_same_values(m.narrow(1, 0, 9), wanted.narrow(1, 0, 9), "m");
  at::Tensor dgate = g.clone(), dup = up.clone(), wanted_dgate = g.clone(), wanted_dup = up.clone();
  run_swiglu_backward<float>(cuda::swiglu_backward_arguments(dm, dgate, dup), false);
  cpu::swiglu_backward_in_place(dm, wanted_dgate, wanted_dup);
  expect_same_values(dgate.narrow(1, 0, 9), wanted_dgate.narrow(1, 0, 9), "dgate");
  expect_same_values(dup.narrow(1, 0, 9), wanted_dup.narrow(1, 0, 9), "dup");
}

TEST(OpsRowKernels, DropoutGivesTheBitsOfTheCpu) {
  const at::Tensor keys = at::arange(kRows, at::kLong) * 0x5DEECE66D1234567 - 12345;
  for_cases([&](auto type, at::ScalarType dtype, std::int64_t width, const Layout& layout, bool backwards) {
    using T = decltype(type);
    const Rows x(normal({kRows, width}, dtype), layout);
    for (const double p : {1e-12, 0.05, 0.5, 0.9}) {
      at::Tensor y = dirty({kRows, width}, dtype);
      const auto a = cuda::dropout_arguments(y, x.rows, keys, ~std::uint64_t{0} / 3, p);
      run_blocks<Nothing>(threads_of(a), a.num_rows, backwards,
                          [&](const cuda::ThreadPlace& place, Nothing&) { cuda::dropout_write<T>(place, a); });
      expect_same_bits(y, cpu::dropout(x.rows, keys, ~std::uint64_t{0} / 3, p), name_of(dtype, width, layout));
    }
    const Rows sum(normal({kRows, width}, dtype), layout);
    at::Tensor found = sum.rows, wanted = sum.rows.clone();
    auto a = cuda::dropout_arguments(found, x.rows, keys, 5, 0.3);
    a.adds = true;
    run_blocks<Nothing>(threads_of(a), a.num_rows, backwards,
                        [&](const cuda::ThreadPlace& place, Nothing&) { cuda::dropout_write<T>(place, a); });
    cpu::dropout_add(wanted, x.rows, keys, 5, 0.3);
    expect_same_bits(found, wanted, name_of(dtype, width, layout) + "added");
    sum.expect_guards(name_of(dtype, width, layout) + "added");
  });
}

TEST(OpsRowKernels, DropoutDropsWhatIsNotFiniteToo) {
  const at::Tensor x = at::full({1, 64}, kInfinity), keys = at::zeros({1}, at::kLong);
  at::Tensor y = dirty({1, 64}, at::kFloat);
  const auto a = cuda::dropout_arguments(y, x, keys, 7, 0.5);
  run_blocks<Nothing>(threads_of(a), 1, false,
                      [&](const cuda::ThreadPlace& place, Nothing&) { cuda::dropout_write<float>(place, a); });
  expect_same_bits(y, cpu::dropout(x, keys, 7, 0.5), "y");
  EXPECT_TRUE(y.eq(0).any().item<bool>() && y.isinf().any().item<bool>());
}

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
                                  bool backwards) {
  using cuda::ThreadPlace, cuda::SoftmaxShared;
  at::Tensor log_sum_exp = dirty({logits.size(0)}, at::kDouble), log_p = dirty({rows.size(0)}, at::kDouble);
  const auto a = cuda::log_sum_exp_arguments(log_sum_exp, logits);
  run_blocks<SoftmaxShared>(
      threads_of(a), a.num_rows, backwards,
      [&](const ThreadPlace& place, SoftmaxShared& shared) { cuda::log_sum_exp_sum<T>(place, a, shared); },
      [&](const ThreadPlace& place, SoftmaxShared& shared) { cuda::gather_softmax(place, shared); },
      [&](const ThreadPlace& place, SoftmaxShared& shared) { cuda::log_sum_exp_write(place, a, shared); });
  const auto g = cuda::gather_arguments(log_p, logits, log_sum_exp, rows, targets);
  run_blocks<Nothing>(8, 2, backwards, [&](const ThreadPlace& place, Nothing&) { cuda::gather_log_p<T>(place, g); });
  return log_p;
}

/// Units of the log-sum-exp: half of one for each addition behind another, in a thread and between threads, and 2 of
/// the exponentials; and the CPU's 130 (ops_cross_entropy_test.cpp).
double softmax_units(std::int64_t vocab) { return 130 + 2 + (static_cast<double>(vocab) / 512 + 8 + 16 + 32) / 2; }

template <class T>
void expect_cross_entropy(at::ScalarType dtype, std::int64_t vocab, const Layout& layout, bool backwards) {
  const std::string name = name_of(dtype, vocab, layout);
  const Rows logits((normal({kRows, vocab}, at::kDouble) * 4).to(dtype), layout);
  logits.rows[kRows - 1][vocab / 2] = 40;  // nearly certain
  const at::Tensor targets = at::randint(vocab, {kRows}, at::kLong);
  targets[kRows - 1] = vocab / 2;
  const at::Tensor rows = at::randint(kRows, {40}, at::kLong), asked = at::randint(vocab, {40}, at::kLong);
  const double units = softmax_units(vocab);
  // A log-sum-exp below 64.
  const at::Tensor log_p = run_gather_log_softmax<T>(logits.rows, rows, asked, backwards);
  expect_close(log_p, cpu::gather_log_softmax(logits.rows, rows, asked), units * 0x1p-23, 0, name + "log p");

  at::Tensor wanted_gradient = logits.rows.clone(), gradient = logits.rows, losses = dirty({kRows}, at::kFloat);
  const at::Tensor wanted = cpu::cross_entropy_with_gradient(wanted_gradient, targets, 0.125);
  run_cross_entropy<T>(cuda::cross_entropy_arguments(gradient, losses, targets, 0.125), backwards);
  expect_close(losses, wanted, units * 0x1p-23, 2 * 0x1p-23, name + "loss");
  // x - lse is rounded at 64 / 2 units on either side; at the target p - 1 cancels, there the error stays absolute.
  const double relative = (units + 64) * 0x1p-23;
  const at::Tensor at_target = targets.unsqueeze(1);
  expect_close(gradient.gather(1, at_target), wanted_gradient.gather(1, at_target), 0.125 * relative, unit_of(dtype),
               name + "gradient at the target");
  expect_close(gradient.scatter(1, at_target, 0), wanted_gradient.scatter(1, at_target, 0), 0x1p-120,
               relative + unit_of(dtype), name + "gradient");
  logits.expect_guards(name + "gradient");
}

TEST(OpsRowKernels, CrossEntropyAndLogSoftmax) {
  for (const std::int64_t vocab : {1, 2, 8, 512, 515, 32000, 32003, 128256}) {
    for (const Layout& layout : kLayouts) {
      for (const bool backwards : {false, true}) {
        expect_cross_entropy<float>(at::kFloat, vocab, layout, backwards);
        expect_cross_entropy<cuda::Bf16Bits>(at::kBFloat16, vocab, layout, backwards);
      }
    }
  }
}

TEST(OpsRowKernels, CrossEntropyOfLogitsThatAreNotFiniteIsAsOnTheCpu) {
  const at::Tensor targets = at::full({5}, 3, at::kLong);
  at::Tensor logits = at::zeros({5, 200}, at::kFloat);
  logits[0][150] = kNan;
  logits[1][150] = kInfinity;
  logits[2].fill_(-kInfinity);
  logits[3].narrow(0, 64, 136).fill_(-kInfinity);  // 64 tokens are allowed
  at::Tensor wanted_gradient = logits.clone(), losses = dirty({5}, at::kFloat);
  const at::Tensor wanted = cpu::cross_entropy_with_gradient(wanted_gradient, targets, 0.5);
  run_cross_entropy<float>(cuda::cross_entropy_arguments(logits, losses, targets, 0.5), false);
  expect_same_bits(losses.isnan(), wanted.isnan(), "losses that are NaN");
  expect_same_bits(logits.isnan(), wanted_gradient.isnan(), "gradients that are NaN");
  // Of 64 tokens alike: p = 1/64 to the rounding of log 64, below 8, and of exp.
  EXPECT_NEAR(losses[3].item<double>(), std::log(64.0), 2 * 0x1p-22);
  EXPECT_NEAR(logits[3][0].item<double>(), 0.5 / 64, 10 * 0x1p-23 / 64);
  EXPECT_TRUE(logits[3].narrow(0, 64, 136).eq(0).all().item<bool>());
}

TEST(OpsRowKernels, CrossEntropyRefusesTargetsOutsideOfTheVocabulary) {
  for (const std::int64_t target : {-1, 8}) {
    at::Tensor logits = normal({1, 8}, at::kFloat), losses = dirty({1}, at::kFloat);
    const at::Tensor targets = at::full({1}, target, at::kLong), rows = at::zeros({1}, at::kLong);
    EXPECT_THROW(run_cross_entropy<float>(cuda::cross_entropy_arguments(logits, losses, targets, 1), false),
                 std::out_of_range);
    EXPECT_THROW(run_gather_log_softmax<float>(logits, rows, targets, false), std::out_of_range);
    EXPECT_THROW(run_gather_log_softmax<float>(logits, targets, rows, false), std::out_of_range);
  }
}

}  // namespace
}  // namespace allreco::model::ops
