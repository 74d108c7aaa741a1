// 8-bit block-wise quantisation, its maps and the mean of absmax against bitsandbytes' and libtorch's own bits.
#include "model/ops/blockwise8.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/check.h"
#include "model/golden.h"
#include "model/ops/compare.h"
#include "model/ops/dynamic_map.h"
#include "model/ops/mean.h"
#include "support/message_of.h"

namespace allreco::model::ops {
namespace {

using model::testing::golden_tensors;

TEST(OpsDynamicMap, BothMapsHaveBitsandbytesBits) {
  const SafetensorsFile file = golden_tensors("nf4/nf4.safetensors");
  expect_same_bits(dynamic_map(true), file.tensor("dynamic_map_signed"), "signed");
  expect_same_bits(dynamic_map(false), file.tensor("dynamic_map_unsigned"), "unsigned");
}

at::Tensor dequantized(const Blockwise8& q, const Map8& map, std::int64_t blocksize) {
  at::Tensor out = at::empty(q.codes.sizes(), at::kFloat);
  blockwise8_dequantize(q.codes, q.absmax, map, blocksize, out);
  return out;
}

TEST(OpsBlockwise8, EveryByteOfBitsandbytes) {
  const SafetensorsFile file = golden_tensors("nf4/nf4.safetensors");
  for (const bool is_signed : {true, false}) {
    const std::string name = is_signed ? "q8_signed" : "q8_unsigned";
    const Map8 map(dynamic_map(is_signed));
    const Blockwise8 found = blockwise8_quantize(file.tensor(name + ".input"), map, 256);
    expect_same_bits(found.codes, file.tensor(name + ".codes"), name + " codes");
    expect_same_bits(found.absmax, file.tensor(name + ".absmax"), name + " absmax");
    expect_same_bits(dequantized(found, map, 256), file.tensor(name + ".dequant"), name + " values");
  }
}

// The states of AdamW8bit: decoded, moved by the gradient in float32, coded again.
TEST(OpsBlockwise8, MomentsOfAdamW8bit) {
  const SafetensorsFile file = golden_tensors("adam8bit/adam8bit.safetensors");
  const Map8 maps[] = {Map8(dynamic_map(true)), Map8(dynamic_map(false))};
  const double betas[] = {0.9, 0.999};
  for (int step = 2; step <= 5; ++step) {
    const std::string now = "step" + std::to_string(step) + ".", before = "step" + std::to_string(step - 1) + ".";
    const at::Tensor gradient = file.tensor(now + "p.grad");
    for (int i = 0; i < 2; ++i) {
      const std::string state = "state" + std::to_string(i + 1), absmax = "absmax" + std::to_string(i + 1);
      const at::Tensor moment = dequantized({file.tensor(before + state), file.tensor(before + absmax)}, maps[i], 256);
      const at::Tensor moved = moment * betas[i] + (i == 0 ? gradient : gradient * gradient) * (1 - betas[i]);
      const Blockwise8 found = blockwise8_quantize(moved, maps[i], 256);
      // Products and sums may round in another order: absmax by units of 2^-23, and with it a code at a midpoint.
      expect_close(found.absmax, file.tensor(now + absmax), 0, 4 * 0x1p-23, now + absmax);
      const at::Tensor off = found.codes.to(at::kInt) - file.tensor(now + state).to(at::kInt);
      EXPECT_LE(off.abs().max().item<int>(), 1) << now << state;
      EXPECT_LE(off.ne(0).sum().item<int>(), 2) << now << state;
    }
  }
}

TEST(OpsBlockwise8, NearestIsTheNumberOfMidpointsBelow) {
  const at::Tensor three = at::linspace(-1, 1, 256, at::kFloat).pow(3).contiguous();
  const at::Tensor repeated = at::linspace(0, 1, 256, at::kFloat).mul(8).floor().div(8).contiguous();
  for (const at::Tensor& values : {dynamic_map(true), dynamic_map(false), three, repeated}) {
    const Map8 map(values);
    const auto* const v = values.const_data_ptr<float>();
    std::vector<float> midpoints, fractions = {-1, 1, 0, -0.0f, 1 + 0x1p-23f, 1e-30f, -1e-30f};
    for (int i = 0; i < 255; ++i) {
      midpoints.push_back((v[i] + v[i + 1]) / 2);
      for (const float near : {midpoints.back(), v[i]}) {
        fractions.insert(fractions.end(), {near, std::nextafter(near, -2.0f), std::nextafter(near, 2.0f)});
      }
    }
    const at::Tensor random = at::rand({10000}, at::kFloat) * 2 - 1;
    fractions.insert(fractions.end(), random.const_data_ptr<float>(), random.const_data_ptr<float>() + 10000);
    for (const float x : fractions) {
      const auto below = std::count_if(midpoints.begin(), midpoints.end(), [&](float m) { return m < x; });
      ASSERT_EQ(map.nearest(x), below) << x;
    }
  }
}

TEST(OpsBlockwise8, ErrorIsHalfTheGapOfTheMap) {
  const at::Tensor x = normal({41, 100}, at::kFloat), values = dynamic_map(true);
  const Map8 map(values);
  for (const std::int64_t blocksize : {64, 256, 2048}) {
    const Blockwise8 q = blockwise8_quantize(x, map, blocksize);
    const at::Tensor back = dequantized(q, map, blocksize).to(at::kDouble).flatten();
    const at::Tensor wide = x.to(at::kDouble).flatten();
    for (std::int64_t i = 0; i < x.numel(); ++i) {
      const double absmax = q.absmax[i / blocksize].item<double>(), fraction = wide[i].item<double>() / absmax;
      const double nearest = (values.to(at::kDouble) - fraction).abs().min().item<double>();
      ASSERT_LE(std::abs(back[i].item<double>() / absmax - fraction), nearest + 2 * 0x1p-22) << "element " << i;
    }
  }
}

TEST(OpsBlockwise8, ZerosThreadsAndRefusals) {
  const Map8 map(dynamic_map(true));
  const Blockwise8 zeros = blockwise8_quantize(at::zeros({300}, at::kFloat), map, 256);
  EXPECT_TRUE(dequantized(zeros, map, 256).eq(0).all().item<bool>());
  const int threads = at::get_num_threads();
  const at::Tensor x = normal({300001}, at::kFloat);
  at::set_num_threads(1);
  const Blockwise8 one = blockwise8_quantize(x, map, 256);
  at::set_num_threads(2);
  const Blockwise8 two = blockwise8_quantize(x, map, 256);
  at::set_num_threads(threads);
  expect_same_bits(one.codes, two.codes, "codes");
  expect_same_bits(one.absmax, two.absmax, "absmax");
  at::Tensor bad = x.clone();
  bad[257] = std::nan("");
  EXPECT_NE(support::message_of([&] { blockwise8_quantize(bad, map, 256); }).find("256 to 511"), std::string::npos);
  EXPECT_THROW(blockwise8_quantize(x, map, 100), core::Fault);
  EXPECT_THROW(Map8(dynamic_map(true).flip(0).contiguous()), core::Fault);
  EXPECT_THROW(Map8(at::zeros({255}, at::kFloat)), core::Fault);
}

TEST(OpsMean, HasTheBitsOfLibtorchOnOneThread) {
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  for (const std::int64_t n : {1, 3, 4, 5, 7, 8, 9, 15, 31, 32, 100, 625, 4096, 5003, 65536, 180224, 1000003}) {
    const at::Tensor x = at::randn({n}, at::kFloat).abs();
    EXPECT_EQ(mean_in_fixed_order(x), x.mean().item<float>()) << n;
  }
  at::set_num_threads(threads);
}

}  // namespace
}  // namespace allreco::model::ops
