// The device path of the ops (ops/cuda) against the CPU kernels, on the device of ALLRECO_TEST_DEVICE. Attention's is
// in attention_test.cpp. Both compute in float32 (float64 for float64) and round once, so they differ by the sums'
// order.
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randperm.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/ops/compare.h"
#include "model/ops/cross_entropy.h"
#include "model/ops/cuda/attention_calls.h"
#include "model/ops/dropout.h"
#include "model/ops/gated_activation.h"
#include "model/ops/rms_norm.h"
#include "model/ops/rope.h"
#include "model/ops/test_device.h"

namespace allreco::model::ops {
namespace {

using model::testing::on_device;
constexpr at::ScalarType kDtypes[] = {at::kFloat, at::kDouble, at::kBFloat16};
constexpr std::int64_t kRows = 37, kColumns = 515;

struct Shape {
  std::int64_t rows, columns;
};
/// Whole packs of eight and not; one row; less than a warp's work.
constexpr Shape kShapes[] = {{kRows, kColumns}, {1, 1}, {5, 8}, {300, 64}, {1, 4096}};
/// Several packs a thread of a GPU. On a CPU the device path is ATen's operators, which know neither.
constexpr Shape kLargeShapes[] = {{700, 2048}, {64, 5632}};

/// The tensor on the device, in a wider buffer: rows are dense, `gap` elements lie between two. The kernels move 16
/// bytes at a time with gaps that are multiples of that, else single elements.
at::Tensor with_gaps(const at::Tensor& t, std::int64_t gap) {
  const at::Tensor wide = on_device(at::full({t.size(0), t.size(1) + gap}, 1e30, t.options()));
  const at::Tensor view = wide.narrow(1, gap / 2, t.size(1));
  view.copy_(t);
  return view;
}

/// Calls f(dtype, shape, gap, name).
template <class F>
void for_shapes(const F& f) {
  std::vector<Shape> shapes(std::begin(kShapes), std::end(kShapes));
  if (model::testing::test_device().is_cuda())
    shapes.insert(shapes.end(), std::begin(kLargeShapes), std::end(kLargeShapes));
  for (const at::ScalarType dtype : kDtypes) {
    for (const Shape& shape : shapes) {
      for (const std::int64_t gap : {0, 3, 16}) {
        f(dtype, shape, gap,
          std::string(c10::toString(dtype)) + " [" + std::to_string(shape.rows) + ", " + std::to_string(shape.columns) +
              "] gap " + std::to_string(gap));
      }
    }
  }
}

/// Units of two sums of a row in different orders: one behind another in eight lanes at least, half a unit each.
double sum_units(std::int64_t columns) { return 32 + static_cast<double>(columns) / 16; }

/// One unit of the result's type (each side rounds once, to neighbours at worst) and `units` of the type computed in,
/// relative and of values below `size`.
void expect_alike(const at::Tensor& found, const at::Tensor& wanted, double units, double size,
                  const std::string& what) {
  const double computed = units * computed_unit(wanted.scalar_type());
  expect_close(found.cpu(), wanted, computed * size, computed + unit_of(wanted.scalar_type()), what);
}

void expect_norm(at::ScalarType dtype, const Shape& shape, std::int64_t gap, bool plus_one, const std::string& name) {
  const auto [rows, columns] = shape;
  const at::Tensor x = normal({rows, columns}, dtype);
  const NormWeight weight{normal({columns}, dtype), plus_one}, device_weight{on_device(weight.weight), plus_one};
  const at::Tensor dy = normal({rows, columns}, dtype), delta = normal({rows, columns}, dtype);
  at::Tensor sum = x.clone(), device_sum = with_gaps(x, gap);
  const NormOutput wanted = cpu::add_rms_norm(sum, delta, weight, 1e-5);
  const NormOutput found = cuda::add_rms_norm(device_sum, with_gaps(delta, gap), device_weight, 1e-5);
  expect_same_bits(device_sum.cpu(), sum, name + " x");
  const double units = sum_units(columns);
  expect_close(found.rstd.cpu(), wanted.rstd, 0, units * computed_unit(dtype), name + " rstd");
  // y rounds twice; 1 + w cancels: a unit of what it is multiplied by.
  const at::Tensor normalised = sum.to(wanted.rstd.scalar_type()) * wanted.rstd.unsqueeze(1);
  const double largest = normalised.abs().max().item<double>();
  expect_close(found.y.cpu(), wanted.y, plus_one ? 2 * computed_unit(dtype) * largest : 0,
               units * computed_unit(dtype) + 2 * unit_of(dtype), name + " y");
  expect_same_bits(cuda::rms_norm(device_sum, device_weight, 1e-5).y, found.y, name + " y without a delta");
  expect_same_bits(cuda::rms_norm_recompute(device_sum, found.rstd, device_weight), found.y, name + " again");
  at::Tensor dx = delta.clone(), device_dx = with_gaps(delta, gap), twice = with_gaps(delta, gap);
  const at::Tensor rstd = on_device(wanted.rstd), device_dy = with_gaps(dy, gap);
  cpu::rms_norm_backward_add(dx, dy, sum, wanted.rstd, weight);
  cuda::rms_norm_backward_add(device_dx, device_dy, device_sum, rstd, device_weight);
  // Terms rstd |w dy| (1 + x^2 rstd^2).
  const double term = wanted.rstd.max().item<double>() * (1 + weight.weight.abs().max().item<double>()) *
                      dy.abs().max().item<double>() * (1 + largest * largest);
  expect_alike(device_dx, dx, 2 * units, term, name + " dx");
  cuda::rms_norm_backward_add(twice, device_dy, device_sum, rstd, device_weight);
  expect_same_bits(twice, device_dx, name + " dx twice");
}

TEST(OpsDevice, RmsNorm) {
  for_shapes([](at::ScalarType dtype, const Shape& shape, std::int64_t gap, const std::string& name) {
    expect_norm(dtype, shape, gap, /*plus_one=*/false, name);
    expect_norm(dtype, shape, gap, /*plus_one=*/true, name + " 1 + w");
  });
}

/// Heads 1 .. heads of a token's, as q of a fused q, k, v.
void expect_rope(at::ScalarType dtype, std::int64_t tokens, std::int64_t heads, std::int64_t half) {
  const at::ScalarType table = dtype == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor angles = normal({5 * tokens, half}, at::kDouble);
  const at::Tensor positions = at::randperm(5 * tokens, at::kLong).narrow(0, 0, tokens).contiguous();
  const at::Tensor cos = angles.cos().to(table), sin = angles.sin().to(table);
  const at::Tensor fused = normal({tokens, heads + 3, 2 * half}, dtype);
  for (const bool inverse : {false, true}) {
    at::Tensor whole = fused.clone(), device_whole = on_device(fused).clone();
    at::Tensor x = whole.narrow(1, 1, heads), device_x = device_whole.narrow(1, 1, heads);
    cpu::rope_in_place(x, positions, cos, sin, inverse);
    cuda::rope_in_place(device_x, on_device(positions), on_device(cos), on_device(sin), inverse);
    expect_alike(device_whole, whole, 3, 14,  // two products and a sum of values below 7
                 std::string(c10::toString(dtype)) + " heads of " + std::to_string(2 * half));
  }
}

TEST(OpsDevice, RopeBothWays) {
  for (const at::ScalarType dtype : kDtypes) {
    for (const std::int64_t half : {1, 4, 12, 15, 32, 64}) {
      expect_rope(dtype, 9, 3, half);
      expect_rope(dtype, 500, 32, half);  // more packs than threads where heads are large
    }
  }
}

void expect_activation(Activation activation, at::ScalarType dtype, const Shape& shape, std::int64_t gap,
                       const std::string& name) {
  const double spread = activation == Activation::silu ? 20 : 4;
  const at::Tensor gate = (normal({shape.rows, shape.columns}, at::kDouble) * spread).to(dtype),
                   up = normal({shape.rows, shape.columns}, dtype), dm = normal({shape.rows, shape.columns}, dtype);
  // A float sigmoid below 2^-126 is 0 in one and subnormal in the other: 1e-35 absolute, with room. gelu_tanh's
  // argument, below 90 where the sigmoid is not 0 (in double: below 750), is rounded 4 times on either side.
  const double argument = activation == Activation::silu ? 0 : dtype == at::kDouble ? 750 : 90;
  const double units = 16 + 4 * argument, tiny = dtype == at::kDouble ? 1e-300 : 1e-35;
  const double relative = units * computed_unit(dtype) + unit_of(dtype);
  at::Tensor dgate = gate.clone(), dup = up.clone();
  at::Tensor device_dgate = with_gaps(gate, gap), device_dup = with_gaps(up, gap);
  expect_close(cuda::gated_activation(activation, device_dgate, device_dup).cpu(),
               cpu::gated_activation(activation, gate, up), tiny, relative, name + " m");
  cpu::gated_activation_backward_in_place(activation, dm, dgate, dup);
  cuda::gated_activation_backward_in_place(activation, with_gaps(dm, gap), device_dgate, device_dup);
  expect_close(device_dup.cpu(), dup, tiny, relative, name + " dup");
  // It cancels: terms below 2 |dm up|, which are large where the argument is small.
  expect_alike(device_dgate, dgate, 64, 2 * (dm * up).abs().max().item<double>(), name + " dgate");
}

TEST(OpsDevice, GatedActivationsAndTheirBackward) {
  for_shapes([](at::ScalarType dtype, const Shape& shape, std::int64_t gap, const std::string& name) {
    expect_activation(Activation::silu, dtype, shape, gap, name + " silu");
    expect_activation(Activation::gelu_tanh, dtype, shape, gap, name + " gelu_tanh");
  });
}

TEST(OpsDevice, DropoutDrawsTheSameBits) {
  for_shapes([](at::ScalarType dtype, const Shape& shape, std::int64_t gap, const std::string& name) {
    // Keys with all bits in use, negative ones too.
    const at::Tensor keys = at::arange(shape.rows, at::kLong) * 0x5DEECE66D1234567 - 12345;
    const at::Tensor x = normal({shape.rows, shape.columns}, dtype), device_x = with_gaps(x, gap);
    for (const double p : {0.05, 0.5, 0.9}) {
      for (const std::uint64_t key : {std::uint64_t{7}, ~std::uint64_t{0} / 3}) {
        const at::Tensor found = cuda::dropout(device_x, on_device(keys), key, p).cpu();
        expect_same_bits(found, cpu::dropout(x, keys, key, p), name);
        at::Tensor sum = x.clone(), device_sum = with_gaps(x, gap);
        cpu::dropout_add(sum, x, keys, key, p);
        cuda::dropout_add(device_sum, device_x, on_device(keys), key, p);
        expect_same_bits(device_sum.cpu(), sum, name + " added");
      }
    }
  });
}

TEST(OpsDevice, WhatIsNotFiniteShows) {
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor targets = at::full({4}, 3, at::kLong), weight = normal({kColumns}, at::kFloat);
  at::Tensor x = normal({4, kColumns}, at::kFloat);
  x[0][500] = nan;
  x[1][500] = infinity;
  x[2][500] = -infinity;
  const at::Tensor device_x = on_device(x), up = on_device(normal({4, kColumns}, at::kFloat));
  const auto expect_nans = [](const at::Tensor& found, const at::Tensor& wanted, const char* what) {
    expect_same_bits(found.isnan().cpu(), wanted.isnan(), what);
  };
  expect_nans(cuda::rms_norm(device_x, on_device(weight), 1e-5).y, cpu::rms_norm(x, weight, 1e-5).y, "rms_norm");
  for (const Activation activation : {Activation::silu, Activation::gelu_tanh}) {
    expect_nans(cuda::gated_activation(activation, device_x, up), cpu::gated_activation(activation, x, up.cpu()), "m");
  }
  // -inf is a logit as any other; ATen's loss of an infinite one is infinite, the kernels' is NaN.
  at::Tensor gradient = on_device(x).clone();
  const at::Tensor loss = cuda::cross_entropy_with_gradient(gradient, on_device(targets), 1, {});
  const at::Tensor is_finite = at::tensor({0, 0, 1, 1}).to(at::kBool);
  expect_same_bits(loss.isfinite().cpu(), is_finite, "losses");
  expect_same_bits(gradient.isfinite().all(1).cpu(), is_finite, "gradients");
}

void expect_cross_entropy(at::ScalarType dtype, std::int64_t vocab, std::int64_t gap, std::optional<double> cap) {
  const std::string name =
      std::string(c10::toString(dtype)) + " vocabulary " + std::to_string(vocab) + (cap ? " capped" : "");
  const at::Tensor logits = (normal({9, vocab}, at::kDouble) * 4).to(dtype),
                   targets = at::randint(vocab, {9}, at::kLong);
  at::Tensor gradient = logits.clone(), device_gradient = with_gaps(logits, gap);
  const at::Tensor wanted = cpu::cross_entropy_with_gradient(gradient, targets, 0.125, cap);
  const at::Tensor found = cuda::cross_entropy_with_gradient(device_gradient, on_device(targets), 0.125, cap);
  EXPECT_EQ(found.scalar_type(), wanted.scalar_type());
  // The bounds of cross_entropy_test.cpp for either side; a float log-sum-exp below 32 adds its rounding. A cap
  // moves every logit by tanh's units on either side, and its slope by those of |2x / c| < 8.
  const double unit = computed_unit(dtype), units = 292 + 2 * 11 * cap.value_or(0);
  const double slope_units = cap ? 64 : 0;
  expect_close(found.cpu(), wanted, units * unit, 2 * unit, name + " loss");
  expect_close(device_gradient.cpu(), gradient, 0.125 * (units + 28) * unit,
               (units + 28 + slope_units) * unit + unit_of(dtype), name + " gradient");
  const at::Tensor rows = at::randint(9, {40}, at::kLong), asked = at::randint(vocab, {40}, at::kLong);
  const at::Tensor log_p = cuda::gather_log_softmax(with_gaps(logits, gap), on_device(rows), on_device(asked), cap);
  EXPECT_EQ(log_p.scalar_type(), at::kDouble);
  expect_close(log_p.cpu(), cpu::gather_log_softmax(logits, rows, asked, cap), units * unit, 0, name + " log p");
  at::Tensor device_capped = with_gaps(logits, gap), plain = logits.clone();
  if (!cap) return;
  cuda::soft_cap_in_place(device_capped, *cap);
  cpu::soft_cap_in_place(plain, *cap);
  expect_close(device_capped.cpu(), plain, 0, 11 * unit + unit_of(dtype), name + " soft cap");
}

TEST(OpsDevice, CrossEntropyAndLogSoftmax) {
  for (const at::ScalarType dtype : kDtypes) {
    for (const std::optional<double> cap : {std::optional<double>(), std::optional<double>(6.0)}) {
      for (const auto& [vocab, gap] :
           {std::pair<std::int64_t, std::int64_t>{1, 0}, {512, 8}, {32000, 0}, {32000, 3}, {32003, 0}, {128256, 16}}) {
        expect_cross_entropy(dtype, vocab, gap, cap);
      }
    }
  }
}

/// The calls that spans become: which of them flash attention can take, and which rows they share.
TEST(OpsDevice, AttentionCallsAreFewAndWindowsBecomeTheirs) {
  const auto calls = [](const std::vector<AttentionSpan>& spans, std::optional<std::int64_t> window) {
    return cuda::attention_calls(spans, window);
  };
  const AttentionSpan trunk{0, 90, 0, {{0, 90, 0, true}}};
  const AttentionSpan a{95, 10, 90, {{0, 90, 0, false}, {95, 10, 90, true}}};
  const AttentionSpan b{105, 20, 90, {{0, 90, 0, false}, {105, 20, 90, true}}};
  const auto shared = calls({trunk, a, b}, {});
  ASSERT_EQ(shared.size(), 2U);
  EXPECT_TRUE(shared[0].causal && shared[0].pieces.size() == 3 && !shared[1].causal);
  ASSERT_EQ(shared[1].pieces.size(), 1U) << "neighbouring branches over one prefix are one piece";
  EXPECT_EQ(shared[1].pieces[0].q_length, 30);
  // A branch right behind the whole of its trunk continues it: one piece.
  EXPECT_EQ(calls({{90, 10, 90, {{0, 90, 0, false}, {90, 10, 90, true}}}}, {}).size(), 1U);
  // Rows 30.. of a segment: the rows before them and their own are one causal piece, aligned at the end.
  const auto tail = calls({{0, 5, 30, {{100, 30, 0, false}, {130, 5, 30, true}}}}, 20);
  ASSERT_EQ(tail.size(), 1U);
  EXPECT_TRUE(tail[0].causal && !tail[0].masked && tail[0].window == 20);
  EXPECT_EQ(tail[0].pieces[0].k_length, 35);
  // A window that hides the prefix from all, from some, and from none of the branch's queries.
  EXPECT_EQ(calls({a}, 1).size(), 1U);
  const auto partly = calls({a}, 50);
  ASSERT_EQ(partly.size(), 2U);
  EXPECT_TRUE(partly[0].masked && !partly[1].masked);
  EXPECT_FALSE(calls({a}, 100)[0].masked);
  // A single query's window only shortens its keys.
  const auto single = calls({{0, 1, 99, {{0, 100, 0, false}}}}, 20);
  EXPECT_TRUE(!single[0].masked && single[0].pieces[0].k_begin == 80 && single[0].pieces[0].k_length == 20);
}

}  // namespace
}  // namespace allreco::model::ops
