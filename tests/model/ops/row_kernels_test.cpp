// The source of the GPU kernels of norm, rotary embedding, gated activation and dropout, run on the host block by
// block, phase by phase, thread by thread: against the CPU kernels, and against the bits of the ATen path where both
// round at the same places. The ops themselves on a GPU: device_test.cpp.
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "model/ops/compare.h"
#include "model/ops/cuda/dropout_kernels.cuh"
#include "model/ops/cuda/gated_activation_kernels.cuh"
#include "model/ops/cuda/rms_norm_kernels.cuh"
#include "model/ops/cuda/rope_kernels.cuh"
#include "model/ops/cuda/row_arguments.h"
#include "model/ops/dropout.h"
#include "model/ops/gated_activation.h"
#include "model/ops/rms_norm.h"
#include "model/ops/rope.h"
#include "model/ops/row_layouts.h"
#include "model/ops/thread_blocks.h"

namespace allreco::model::ops {
namespace {

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
    const NormWeight weight{normal({width}, dtype), backwards};
    const at::Tensor before = x.buffer.clone();
    at::Tensor y = dirty({kRows, width}, dtype), rstd = dirty({kRows}, at::kFloat), again = dirty(y.sizes(), dtype);
    run_norm<T>(cuda::rms_norm_arguments(y, rstd, x.rows, nullptr, weight, 1e-5), backwards);
    const NormOutput wanted = cpu::rms_norm(x.rows, weight, 1e-5);
    const double units = sum_units(width) / 2 * 2 + 4;  // of two sums, halved by the root; and the rest
    expect_close(rstd, wanted.rstd, 0, units * 0x1p-23, name + "rstd");
    // 1 + w cancels: a unit of float32 of x * rstd.
    const double size = weight.plus_one ? (x.rows * wanted.rstd.unsqueeze(1)).abs().max().item<double>() : 0;
    expect_close(y, wanted.y, 0x1p-22 * size, units * 0x1p-23 + 2 * unit_of(dtype), name + "y");
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
    const NormWeight weight{normal({width}, dtype), !backwards};
    const at::Tensor sum = x.rows + delta.rows;
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
    const NormWeight weight{normal({width}, dtype), backwards};
    const at::Tensor rstd = cpu::rms_norm(x.rows, weight, 1e-5).rstd;
    at::Tensor wanted = dx.rows.clone(), found = dx.rows;
    cpu::rms_norm_backward_add(wanted, dy.rows, x.rows, rstd, weight);
    run_norm_backward<T>(cuda::rms_norm_backward_arguments(found, dy.rows, x.rows, rstd, weight), backwards);
    // Terms rstd |w dy| (1 + x^2 rstd^2), with errors of the two sums and of eight operations on either side.
    const at::Tensor normalised = x.rows.to(at::kFloat) * rstd.unsqueeze(1);
    const double term = rstd.max().item<double>() * (1 + weight.weight.abs().max().item<double>()) *
                        dy.rows.abs().max().item<double>() * (1 + (normalised * normalised).max().item<double>());
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
void run_activation(const cuda::GatedActivationArguments& a, bool backwards) {
  run_blocks<Nothing>(threads_of(a), a.num_rows, backwards,
                      [&](const cuda::ThreadPlace& place, Nothing&) { cuda::gated_activation_write<T>(place, a); });
}

template <class T>
void run_activation_backward(const cuda::GatedActivationBackwardArguments& a, bool backwards) {
  run_blocks<Nothing>(threads_of(a), a.num_rows, backwards, [&](const cuda::ThreadPlace& place, Nothing&) {
    cuda::gated_activation_backward_write<T>(place, a);
  });
}

/// Exponentials good to 2 units and a few operations on either side: 16. gelu_tanh's argument, below 90 where the
/// sigmoid is not 0, is rounded 4 times on either side, which is absolute in it.
double activation_units(Activation activation) { return activation == Activation::silu ? 16 : 16 + 4 * 90; }

template <class T>
void expect_activation(Activation activation, at::ScalarType dtype, std::int64_t width, const Layout& layout,
                       bool backwards) {
  const std::string name = name_of(dtype, width, layout) + (activation == Activation::silu ? "silu " : "gelu_tanh ");
  const double spread = activation == Activation::silu ? 20 : 4;
  const Rows gate((normal({kRows, width}, at::kDouble) * spread).to(dtype), layout),
      up(normal({kRows, width}, dtype), layout), dm(normal({kRows, width}, dtype), layout);
  at::Tensor m = dirty({kRows, width}, dtype), dgate = gate.rows, dup = up.rows;
  at::Tensor wanted_dgate = gate.rows.clone(), wanted_dup = up.rows.clone();
  run_activation<T>(cuda::gated_activation_arguments(activation, m, gate.rows, up.rows), backwards);
  // Below 2^-126 a result is 0 in one and subnormal in the other.
  const double units = activation_units(activation), relative = units * 0x1p-23 + unit_of(dtype), tiny = 1e-35;
  expect_close(m, cpu::gated_activation(activation, gate.rows, up.rows), tiny, relative, name + "m");
  // The slope's terms cancel: they are below 2 |dm up|, and where they are large the argument is small.
  const double term = 2 * (dm.rows * up.rows).abs().max().item<double>();
  run_activation_backward<T>(cuda::gated_activation_backward_arguments(activation, dm.rows, dgate, dup), backwards);
  cpu::gated_activation_backward_in_place(activation, dm.rows, wanted_dgate, wanted_dup);
  expect_close(dup, wanted_dup, tiny, relative, name + "dup");
  expect_close(dgate, wanted_dgate, 64 * 0x1p-23 * term + tiny, relative, name + "dgate");
  gate.expect_guards(name + "dgate");
  up.expect_guards(name + "dup");
}

TEST(OpsRowKernels, GatedActivationsAndTheirBackward) {
  for_cases([](auto type, at::ScalarType dtype, std::int64_t width, const Layout& layout, bool backwards) {
    expect_activation<decltype(type)>(Activation::silu, dtype, width, layout, backwards);
    expect_activation<decltype(type)>(Activation::gelu_tanh, dtype, width, layout, backwards);
  });
}

TEST(OpsRowKernels, ActivationsOfExtremeGatesAreAsOnTheCpu) {
  for (const Activation activation : {Activation::silu, Activation::gelu_tanh}) {
    const at::Tensor gate =
        at::tensor({0.0f, -0.0f, kInfinity, -kInfinity, kNan, 200.0f, -200.0f, 3e38f, -3e38f, 1.0f});
    const at::Tensor up = at::full({1, 10}, 0.5f), dm = at::full({1, 10}, 2.0f), g = gate.unsqueeze(0);
    at::Tensor m = dirty({1, 10}, at::kFloat);
    run_activation<float>(cuda::gated_activation_arguments(activation, m, g, up), false);
    const at::Tensor wanted = cpu::gated_activation(activation, g, up);
    expect_same_values(m.narrow(1, 0, 9), wanted.narrow(1, 0, 9), "m");
    at::Tensor dgate = g.clone(), dup = up.clone(), wanted_dgate = g.clone(), wanted_dup = up.clone();
    run_activation_backward<float>(cuda::gated_activation_backward_arguments(activation, dm, dgate, dup), false);
    cpu::gated_activation_backward_in_place(activation, dm, wanted_dgate, wanted_dup);
    expect_same_values(dgate.narrow(1, 0, 9), wanted_dgate.narrow(1, 0, 9), "dgate");
    expect_same_values(dup.narrow(1, 0, 9), wanted_dup.narrow(1, 0, 9), "dup");
  }
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

}  // namespace
}  // namespace allreco::model::ops
