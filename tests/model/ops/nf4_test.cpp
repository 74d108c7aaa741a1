// NF4 against every byte of bitsandbytes' (golden/nf4), against a loop in double, and across threads.
#include "model/ops/nf4.h"

#include <ATen/Parallel.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "core/check.h"
#include "model/golden.h"
#include "model/ops/compare.h"
#include "model/ops/nf4_codebook.h"
#include "support/message_of.h"

namespace allreco::model::ops {
namespace {

using model::testing::golden_json;
using model::testing::golden_tensors;
constexpr at::ScalarType kDtypes[] = {at::kFloat, at::kBFloat16, at::kHalf};
constexpr std::int64_t kBlocksizes[] = {32, 64, 128, 256, 512, 1024, 2048, 4096};

at::Tensor dequantized(const Nf4Tensor& nf4, at::ScalarType dtype, at::ScalarType rounding) {
  at::Tensor out = at::full(nf4.shape, 7, at::TensorOptions().dtype(dtype));
  nf4_dequantize(nf4, out, rounding);
  return out;
}

void expect_nested(const Nf4Tensor& found, const SafetensorsFile& file, const std::string& name) {
  expect_same_bits(found.nested_absmax, file.tensor(name + ".nested_absmax"), name + ": absmax of absmax");
  expect_same_bits(found.nested_map, file.tensor("dynamic_map_signed"), name + ": map");
  EXPECT_EQ(found.nested_offset, file.tensor(name + ".nested_offset").item<float>()) << name;
}

TEST(OpsNf4, EveryByteOfBitsandbytes) {
  const SafetensorsFile file = golden_tensors("nf4/nf4.safetensors");
  expect_same_bits(nf4_map(), file.tensor("nf4_code"), "the table");
  const core::Json meta = golden_json("nf4/meta.json");
  int num_cases = 0;
  for (const core::Json& about : meta.at("cases")) {
    const std::string name = about.at("name").get<std::string>();
    if (name.rfind("q8", 0) == 0) {
      continue;  // blockwise8_test.cpp
    }
    ++num_cases;
    const at::Tensor input = file.tensor(name + ".input");
    const bool nested = about.at("nested").get<bool>();
    const Nf4Tensor found = nf4_quantize(input, about.at("blocksize").get<std::int64_t>(), nested);
    expect_same_bits(found.packed.flatten(), file.tensor(name + ".packed"), name + ": codes");
    expect_same_bits(found.absmax, file.tensor(name + ".absmax"), name + ": absmax");
    expect_same_bits(dequantized(found, input.scalar_type(), input.scalar_type()), file.tensor(name + ".dequant"),
                     name);
    if (nested) {
      expect_nested(found, file, name);
    }
  }
  EXPECT_EQ(num_cases, 13);
}

// The first documented tie: a fraction that equals a midpoint. It takes the lower code here and in the fixture, whose
// midpoints are those of float32. bitsandbytes' CUDA code compares with decimal constants, four of which lie one unit
// away, so there the values at (or one unit beside) midpoints 0, 8, 12 and 14 may get the neighbouring code.
TEST(OpsNf4, AMidpointTakesTheLowerCodeAndItsNeighboursTheirOwn) {
  at::Tensor x = at::zeros({64}, at::kFloat);
  auto* const values = x.mutable_data_ptr<float>();
  values[63] = 1;
  for (int i = 0; i < 15; ++i) {
    values[3 * i] = std::nextafter(nf4_midpoint(i), -2.0f);
    values[3 * i + 1] = nf4_midpoint(i);
    values[3 * i + 2] = std::nextafter(nf4_midpoint(i), 2.0f);
  }
  const at::Tensor y = dequantized(nf4_quantize(x, 64, false), at::kFloat, at::kFloat);
  for (int i = 0; i < 15; ++i) {
    EXPECT_EQ(y[3 * i].item<float>(), kNf4Map[i]);
    EXPECT_EQ(y[3 * i + 1].item<float>(), kNf4Map[i]);
    EXPECT_EQ(y[3 * i + 2].item<float>(), kNf4Map[i + 1]);
  }
}

// The second documented tie: blocks of zeros. Only their value is defined; the bytes here are those of bitsandbytes'
// CPU code (its CUDA code packs zeros there, whose value is -1 * 0).
TEST(OpsNf4, BlocksOfZerosAreZero) {
  for (const at::ScalarType dtype : kDtypes) {
    const Nf4Tensor nf4 = nf4_quantize(at::zeros({3, 50}, dtype), 64, false);
    EXPECT_TRUE(nf4.packed.eq(0x77).all().item<bool>());
    EXPECT_EQ(nf4.absmax[0].item<float>(), 0.0f);
    EXPECT_EQ(nf4.absmax[2].item<float>(), 1e-38f);
    EXPECT_TRUE(dequantized(nf4, dtype, dtype).eq(0).all().item<bool>());
  }
}

int code_at(const Nf4Tensor& nf4, std::int64_t i) {
  const int both = nf4.packed.const_data_ptr<std::uint8_t>()[i / 2];
  return i % 2 == 0 ? both >> 4 : both & 15;
}

/// Each code is the nearest to x / absmax in double. The quotient in float32 errs by at most 1.5 units of 2^-24 (the
/// inverse and the product each round) and a midpoint by half of one, so a neighbour is right within 2^-22 of the
/// middle.
void expect_nearest_codes(const Nf4Tensor& nf4, const at::Tensor& x) {
  const at::Tensor wide = x.to(at::kDouble).flatten().contiguous();
  const auto* const values = wide.const_data_ptr<double>();
  const auto* const absmax = nf4.absmax.const_data_ptr<float>();
  for (std::int64_t i = 0; i < wide.numel(); ++i) {
    const double fraction = values[i] / static_cast<double>(absmax[i / nf4.blocksize]);
    double nearest = 2;
    for (const float value : kNf4Map) {
      nearest = std::min(nearest, std::abs(fraction - static_cast<double>(value)));
    }
    const double found = std::abs(fraction - static_cast<double>(kNf4Map[code_at(nf4, i)]));
    ASSERT_LE(found - nearest, 2 * 0x1p-22) << "element " << i << " is " << fraction << " of its block's absmax";
  }
}

void expect_exact_absmax(const Nf4Tensor& nf4, const at::Tensor& x) {
  const at::Tensor flat = x.to(at::kFloat).flatten();
  for (std::int64_t b = 0; b < nf4.num_blocks(); ++b) {
    const std::int64_t begin = b * nf4.blocksize, n = std::min(nf4.blocksize, flat.numel() - begin);
    ASSERT_EQ(nf4.absmax[b].item<float>(), flat.narrow(0, begin, n).abs().max().item<float>()) << "block " << b;
  }
}

/// code * absmax in float32, rounded by libtorch.
void expect_dequantized(const Nf4Tensor& nf4, const at::Tensor& absmax) {
  const std::int64_t n = nf4.num_elements();
  at::Tensor wanted = at::empty({n}, at::kFloat);
  for (std::int64_t i = 0; i < n; ++i) {
    wanted.mutable_data_ptr<float>()[i] = kNf4Map[code_at(nf4, i)] * absmax.const_data_ptr<float>()[i / nf4.blocksize];
  }
  wanted = wanted.view(nf4.shape);
  for (const at::ScalarType rounding : kDtypes) {
    const at::Tensor rounded = wanted.to(rounding);
    const std::string what = c10::toString(rounding);
    expect_same_bits(dequantized(nf4, rounding, rounding), rounded, what);
    expect_same_bits(dequantized(nf4, at::kFloat, rounding), rounded.to(at::kFloat), what + " in float32");
  }
}

TEST(OpsNf4, AllBlocksizesAndOddSizesAgainstALoopInDouble) {
  for (const at::ScalarType dtype : kDtypes) {
    for (const std::int64_t blocksize : kBlocksizes) {
      for (const std::int64_t n : {std::int64_t{1}, blocksize - 1, blocksize, 3 * blocksize, 2 * blocksize + 33}) {
        const at::Tensor x = (normal({n}, at::kDouble) * at::rand({n}, at::kDouble).mul(12).sub(6).exp()).to(dtype);
        const Nf4Tensor nf4 = nf4_quantize(x, blocksize, false);
        ASSERT_EQ(nf4.packed.sizes(), at::IntArrayRef({(n + 1) / 2, 1}));
        expect_exact_absmax(nf4, x);
        expect_nearest_codes(nf4, x);
        expect_dequantized(nf4, nf4.absmax);
        if (n % 2 == 1) {
          EXPECT_EQ(code_at(nf4, n), kNf4ZeroCode);
        }
      }
    }
  }
}

TEST(OpsNf4, RoundsLikeLibtorchWhereFloat16IsSubnormalOrOverflows) {
  for (const float scale : {1e-8f, 3e-6f, 1e-4f, 6e4f, 7e4f, 1e30f}) {
    const at::Tensor x = normal({40, 64}, at::kFloat) * scale;
    const Nf4Tensor nf4 = nf4_quantize(x, 64, false);
    expect_dequantized(nf4, nf4.absmax);
  }
}

TEST(OpsNf4, ReadsEveryFloat16AsLibtorchDoes) {
  const at::Tensor x = at::arange(65536, at::kInt).to(at::kShort).view(at::kHalf);
  const at::Tensor finite = x.masked_select(x.isfinite());
  const Nf4Tensor half = nf4_quantize(finite, 32, false), wide = nf4_quantize(finite.to(at::kFloat), 32, false);
  expect_same_bits(half.packed, wide.packed, "codes");
  expect_same_bits(half.absmax, wide.absmax, "absmax");
}

TEST(OpsNf4, TinyBlocksKeepTheirSigns) {
  const at::Tensor x = normal({4, 64}, at::kFloat).sign() * 1e-39f;  // subnormal: below what is divided by
  const Nf4Tensor nf4 = nf4_quantize(x, 64, false);
  EXPECT_TRUE((dequantized(nf4, at::kFloat, at::kFloat) * x).ge(0).all().item<bool>());
}

TEST(OpsNf4, DoubleQuantisationDecodesAbsmaxWithTwoRoundings) {
  const at::Tensor x = normal({611, 131}, at::kBFloat16);
  const Nf4Tensor nf4 = nf4_quantize(x, 64, true), plain = nf4_quantize(x, 64, false);
  expect_same_bits(nf4.packed, plain.packed, "codes");
  at::Tensor absmax = at::empty({nf4.num_blocks()}, at::kFloat);
  for (std::int64_t b = 0; b < nf4.num_blocks(); ++b) {
    const float centred =
        nf4.nested_map[nf4.absmax[b].item<std::uint8_t>()].item<float>() * nf4.nested_absmax[b / 256].item<float>();
    const volatile float product = centred;  // not fused with the sum
    absmax.mutable_data_ptr<float>()[b] = product + nf4.nested_offset;
  }
  expect_dequantized(nf4, absmax);
  // The signed map's entries are at most 0.9 / 64 apart (and its top one 0.9 / 128 from 1): half of it, of the block's
  // largest deviation.
  const at::Tensor largest = nf4.nested_absmax.repeat_interleave(256).narrow(0, 0, nf4.num_blocks());
  EXPECT_TRUE((absmax - plain.absmax).abs().le(largest * (0.9 / 128 + 1e-5)).all().item<bool>());
}

TEST(OpsNf4, NumberOfThreadsChangesNoBit) {
  const int threads = at::get_num_threads();
  const at::Tensor x = normal({4099, 65}, at::kFloat);
  at::set_num_threads(1);
  const Nf4Tensor one = nf4_quantize(x, 64, true);
  const at::Tensor one_out = dequantized(one, at::kFloat, at::kBFloat16);
  at::set_num_threads(2);
  const Nf4Tensor two = nf4_quantize(x, 64, true);
  const at::Tensor two_out = dequantized(two, at::kFloat, at::kBFloat16);
  at::set_num_threads(threads);
  expect_same_bits(one.packed, two.packed, "codes");
  expect_same_bits(one.absmax, two.absmax, "absmax");
  expect_same_bits(one.nested_absmax, two.nested_absmax, "absmax of absmax");
  EXPECT_EQ(one.nested_offset, two.nested_offset);
  expect_same_bits(one_out, two_out, "values");
}

TEST(OpsNf4, InfinitiesAndNansAreRefusedByPlace) {
  for (const at::ScalarType dtype : kDtypes) {
    for (const double bad : {HUGE_VAL, -HUGE_VAL, std::nan("")}) {
      for (const std::int64_t place : {130, 299}) {  // a whole block, and the short one
        at::Tensor x = normal({300}, dtype);
        x[place] = bad;
        const std::string message = support::message_of([&] { nf4_quantize(x, 64, true); });
        EXPECT_NE(message.find(place == 130 ? "elements 128 to 191" : "elements 256 to 319"), std::string::npos)
            << message;
      }
    }
  }
}

TEST(OpsNf4, PartsThatDoNotFitAreFaults) {
  const at::Tensor x = normal({10, 100}, at::kFloat);
  const Nf4Tensor good = nf4_quantize(x, 64, true);
  at::Tensor out = at::empty({10, 100}, at::kFloat);
  const auto refuses = [&](auto&& spoil) {
    Nf4Tensor bad = good;
    spoil(bad);
    EXPECT_THROW(nf4_dequantize(bad, out, at::kFloat), core::Fault);
  };
  refuses([](Nf4Tensor& t) { t.packed = t.packed.narrow(0, 0, 499); });
  refuses([](Nf4Tensor& t) { t.absmax = t.absmax.narrow(0, 0, 15); });
  refuses([](Nf4Tensor& t) { t.absmax = t.absmax.to(at::kFloat); });
  refuses([](Nf4Tensor& t) { t.nested_absmax = at::Tensor(); });
  refuses([](Nf4Tensor& t) { t.nested_map = at::Tensor(); });
  refuses([](Nf4Tensor& t) { t.quant_map = t.quant_map.to(at::kDouble); });
  refuses([](Nf4Tensor& t) { t.blocksize = 48; });
  refuses([](Nf4Tensor& t) { t.shape = {10, 101}; });
  at::Tensor transposed = at::empty({100, 10}, at::kFloat).t(), half = at::empty({10, 100}, at::kHalf);
  EXPECT_THROW(nf4_dequantize(good, transposed, at::kFloat), core::Fault);
  EXPECT_THROW(nf4_dequantize(good, half, at::kBFloat16), core::Fault);
  EXPECT_THROW(nf4_quantize(x.to(at::kDouble), 64, false), core::Fault);
  EXPECT_THROW(nf4_quantize(x.t(), 64, false), core::Fault);
  EXPECT_THROW(nf4_quantize(x, 16, false), core::Fault);
  EXPECT_THROW(nf4_quantize(x, 8192, false), core::Fault);
  EXPECT_THROW(nf4_quantize(at::empty({0}, at::kFloat), 64, false), core::Fault);
}

}  // namespace
}  // namespace allreco::model::ops
