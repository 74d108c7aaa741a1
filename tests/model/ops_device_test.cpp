// The device path of the ops (ops/cuda) against the CPU kernels, on the device of ALLRECO_TEST_DEVICE. Attention's is
// in ops_attention_test.cpp. Both compute in float32 (float64 for float64) and round once, so they differ by the sums'
// order.
#include <ATen/ops/arange.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randperm.h>
#include <gtest/gtest.h>

#include "model/ops/backends.h"
#include "model/ops/cuda/attention_calls.h"
#include "ops_compare.h"
#include "test_device.h"

namespace allreco::model::ops {
namespace {

using model::testing::on_device;
constexpr at::ScalarType kDtypes[] = {at::kFloat, at::kDouble, at::kBFloat16};
constexpr std::int64_t kRows = 37, kColumns = 515;

/// One unit of the result's type (each side rounds once, to neighbours at worst) and `units` of the type computed in,
/// relative and of values below `size`.
void expect_alike(const at::Tensor& found, const at::Tensor& wanted, double units, double size,
                  const std::string& what) {
  const double computed = units * computed_unit(wanted.scalar_type());
  expect_close(found.cpu(), wanted, computed * size, computed + unit_of(wanted.scalar_type()), what);
}

TEST(OpsDevice, RmsNorm) {
  for (const at::ScalarType dtype : kDtypes) {
    const std::string name = c10::toString(dtype);
    const at::Tensor x = normal({kRows, kColumns}, dtype), weight = normal({kColumns}, dtype);
    const at::Tensor dy = normal({kRows, kColumns}, dtype), delta = normal({kRows, kColumns}, dtype);
    at::Tensor sum = x.clone(), device_sum = on_device(x).clone();
    const NormOutput wanted = cpu::add_rms_norm(sum, delta, weight, 1e-5);
    const NormOutput found = cuda::add_rms_norm(device_sum, on_device(delta), on_device(weight), 1e-5);
    expect_same_bits(device_sum.cpu(), sum, name + " x");
    // A sum of 515 squares in another order: less than 515 / 16 units in either; y rounds twice.
    expect_close(found.rstd.cpu(), wanted.rstd, 0, 32 * computed_unit(dtype), name + " rstd");
    expect_close(found.y.cpu(), wanted.y, 0, 32 * computed_unit(dtype) + 2 * unit_of(dtype), name + " y");
    expect_same_bits(cuda::rms_norm_recompute(device_sum, found.rstd, on_device(weight)), found.y, name + " again");
    at::Tensor dx = delta.clone(), device_dx = on_device(delta).clone();
    cpu::rms_norm_backward_add(dx, dy, sum, wanted.rstd, weight);
    cuda::rms_norm_backward_add(device_dx, on_device(dy), device_sum, on_device(wanted.rstd), on_device(weight));
    expect_alike(device_dx, dx, 64, 100, name + " dx");  // terms |w dy| (1 + x^2 rstd^2) below 100
  }
}

TEST(OpsDevice, RopeBothWays) {
  for (const at::ScalarType dtype : kDtypes) {
    const at::ScalarType table = dtype == at::kDouble ? at::kDouble : at::kFloat;
    const at::Tensor angles = normal({50, 12}, at::kDouble), positions = at::randperm(50, at::kLong).narrow(0, 0, 9);
    const at::Tensor cos = angles.cos().to(table), sin = angles.sin().to(table), fused = normal({9, 5, 24}, dtype);
    for (const bool inverse : {false, true}) {
      at::Tensor whole = fused.clone(), device_whole = on_device(fused).clone();
      at::Tensor x = whole.narrow(1, 1, 3), device_x = device_whole.narrow(1, 1, 3);
      cpu::rope_in_place(x, positions.contiguous(), cos, sin, inverse);
      cuda::rope_in_place(device_x, on_device(positions.contiguous()), on_device(cos), on_device(sin), inverse);
      expect_alike(device_whole, whole, 3, 12, c10::toString(dtype));  // two products and a sum of values below 6
    }
  }
}

TEST(OpsDevice, SwigluForwardAndBackward) {
  for (const at::ScalarType dtype : kDtypes) {
    const std::string name = c10::toString(dtype);
    const at::Tensor gate = (normal({kRows, kColumns}, at::kDouble) * 20).to(dtype),
                     up = normal({kRows, kColumns}, dtype);
    const at::Tensor dm = normal({kRows, kColumns}, dtype);
    // A float sigmoid below 2^-126 is 0 in one and subnormal in the other: 1e-35 absolute, with room.
    const double units = 16, tiny = dtype == at::kDouble ? 0 : 1e-35;
    const double relative = units * computed_unit(dtype) + unit_of(dtype);
    expect_close(cuda::swiglu(on_device(gate), on_device(up)).cpu(), cpu::swiglu(gate, up), tiny, relative,
                 name + " m");
    at::Tensor dgate = gate.clone(), dup = up.clone();
    at::Tensor device_dgate = on_device(gate).clone(), device_dup = on_device(up).clone();
    cpu::swiglu_backward_in_place(dm, dgate, dup);
    cuda::swiglu_backward_in_place(on_device(dm), device_dgate, device_dup);
    expect_close(device_dup.cpu(), dup, tiny, relative, name + " dup");
    expect_alike(device_dgate, dgate, units, 1.3 * 36, name + " dgate");  // it cancels: terms below 1.3 |dm up|
  }
}

TEST(OpsDevice, DropoutDrawsTheSameBits) {
  // Keys with all bits in use, negative ones too.
  const at::Tensor keys = at::arange(kRows, at::kLong) * 0x5DEECE66D1234567 - 12345;
  for (const at::ScalarType dtype : kDtypes) {
    const at::Tensor x = normal({kRows, kColumns}, dtype);
    for (const double p : {0.05, 0.5, 0.9}) {
      for (const std::uint64_t key : {std::uint64_t{7}, ~std::uint64_t{0} / 3}) {
        const at::Tensor found = cuda::dropout(on_device(x), on_device(keys), key, p).cpu();
        expect_same_bits(found, cpu::dropout(x, keys, key, p), c10::toString(dtype));
      }
    }
  }
}

TEST(OpsDevice, CrossEntropyAndLogSoftmax) {
  for (const at::ScalarType dtype : kDtypes) {
    for (const std::int64_t vocab : {1, 512, 32003}) {
      const std::string name = std::string(c10::toString(dtype)) + " vocabulary " + std::to_string(vocab);
      const at::Tensor logits = (normal({9, vocab}, at::kDouble) * 4).to(dtype),
                       targets = at::randint(vocab, {9}, at::kLong);
      at::Tensor gradient = logits.clone(), device_gradient = on_device(logits).clone();
      const at::Tensor wanted = cpu::cross_entropy_with_gradient(gradient, targets, 0.125);
      const at::Tensor found = cuda::cross_entropy_with_gradient(device_gradient, on_device(targets), 0.125);
      EXPECT_EQ(found.scalar_type(), wanted.scalar_type());
      // The bounds of ops_cross_entropy_test.cpp for either side; a float log-sum-exp below 32 adds its rounding.
      const double unit = computed_unit(dtype);
      expect_close(found.cpu(), wanted, (130 + 130 + 32) * unit, 2 * unit, name + " loss");
      expect_close(device_gradient.cpu(), gradient, 0.125 * 320 * unit, 320 * unit + unit_of(dtype),
                   name + " gradient");
      const at::Tensor rows = at::randint(9, {40}, at::kLong), asked = at::randint(vocab, {40}, at::kLong);
      const at::Tensor log_p = cuda::gather_log_softmax(on_device(logits), on_device(rows), on_device(asked));
      EXPECT_EQ(log_p.scalar_type(), at::kDouble);
      expect_close(log_p.cpu(), cpu::gather_log_softmax(logits, rows, asked), 292 * unit, 0, name + " log p");
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
