// The source of NF4's GPU kernels, run on the host block by block, phase by phase, thread by thread, against the bits
// of the CPU kernels; and, on the device of ALLRECO_TEST_DEVICE, the ops themselves.
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include "core/check.h"
#include "model/ops/compare.h"
#include "model/ops/cuda/nf4_kernels.cuh"
#include "model/ops/nf4.h"
#include "model/ops/test_device.h"
#include "model/ops/thread_blocks.h"

namespace allreco::model::ops {
namespace {

using model::testing::on_device;
constexpr at::ScalarType kDtypes[] = {at::kFloat, at::kBFloat16, at::kHalf};

template <class T>
void run_quantize(const cuda::Nf4QuantizeArguments& a, bool backwards) {
  const auto num_blocks =
      static_cast<unsigned>((a.num_elements + cuda::kQuantizeElements - 1) / cuda::kQuantizeElements);
  for (unsigned block = 0; block < num_blocks; ++block) {
    cuda::Nf4QuantizeShared shared;
    std::fill(std::begin(shared.absmax_bits), std::end(shared.absmax_bits), 0x7fffffff);  // as memory comes
    const auto phase = [&](auto&& f) { for_threads(cuda::kQuantizeThreads, block, num_blocks, backwards, f); };
    phase([&](const cuda::ThreadPlace& place) { cuda::quantize_clear(place, shared); });
    phase([&](const cuda::ThreadPlace& place) { cuda::quantize_find_absmax<T>(place, a, shared); });
    phase([&](const cuda::ThreadPlace& place) { cuda::quantize_write<T>(place, a, shared); });
  }
}

template <class Out, class Rounded>
void run_dequantize(const cuda::Nf4DequantizeArguments& a, unsigned num_blocks, bool backwards) {
  for (unsigned block = 0; block < num_blocks; ++block) {
    cuda::Nf4DequantizeShared shared;
    std::fill(std::begin(shared.quant_map), std::end(shared.quant_map), std::nanf(""));
    const auto phase = [&](auto&& f) { for_threads(96, block, num_blocks, backwards, f); };
    phase([&](const cuda::ThreadPlace& place) { cuda::dequantize_load_map(place, a, shared); });
    phase([&](const cuda::ThreadPlace& place) { cuda::dequantize_write<Out, Rounded>(place, a, shared); });
  }
}

/// Calls f(T()) with the kernels' type.
template <class F>
void with_type(at::ScalarType dtype, const F& f) {
  if (dtype == at::kFloat) {
    f(float());
  } else if (dtype == at::kBFloat16) {
    f(cuda::Bf16Bits());
  } else {
    f(cuda::Fp16Bits());
  }
}

/// A guard of bytes after what the kernel may write.
at::Tensor guarded_bytes(std::int64_t n) { return at::full({n + 64}, 0xab, at::TensorOptions().dtype(at::kByte)); }

void expect_guard(const at::Tensor& bytes, std::int64_t n, const std::string& what) {
  EXPECT_TRUE(bytes.narrow(0, n, 64).eq(0xab).all().item<bool>()) << what << ": written behind its end";
}

void expect_quantized(const at::Tensor& x, std::int64_t blocksize, bool backwards, const std::string& what) {
  const Nf4Tensor wanted = nf4_quantize(x, blocksize, false);
  const std::int64_t packed_bytes = wanted.packed.numel(), absmax_bytes = 4 * wanted.num_blocks();
  const at::Tensor packed = guarded_bytes(packed_bytes), absmax = guarded_bytes(absmax_bytes);
  const cuda::Nf4QuantizeArguments a{x.const_data_ptr(), packed.mutable_data_ptr<std::uint8_t>(),
                                     reinterpret_cast<float*>(absmax.mutable_data_ptr<std::uint8_t>()), x.numel(),
                                     static_cast<int>(blocksize)};
  with_type(x.scalar_type(), [&](auto type) { run_quantize<decltype(type)>(a, backwards); });
  expect_same_bits(packed.narrow(0, 0, packed_bytes), wanted.packed.flatten(), what + " codes");
  expect_same_bits(absmax.narrow(0, 0, absmax_bytes).view(at::kFloat), wanted.absmax, what + " absmax");
  expect_guard(packed, packed_bytes, what + " codes");
  expect_guard(absmax, absmax_bytes, what + " absmax");
}

TEST(OpsNf4Kernels, QuantiseGivesTheBitsOfTheCpu) {
  for (const at::ScalarType dtype : kDtypes) {
    for (const std::int64_t blocksize : {32, 64, 128, 256, 512, 1024, 2048, 4096}) {
      for (const std::int64_t n : {std::int64_t{1}, std::int64_t{63}, blocksize, std::int64_t{3 * 4096 + 17},
                                   std::int64_t{2 * 4096 + blocksize / 2 + 8}}) {
        at::Tensor x = normal({n}, dtype);
        if (n > 2 * blocksize) {
          x.narrow(0, blocksize, blocksize).zero_();
        }
        const std::string what = std::string(c10::toString(dtype)) + " " + std::to_string(n) + " elements, blocks of " +
                                 std::to_string(blocksize);
        expect_quantized(x, blocksize, n % 2 == 0, what);
      }
    }
  }
}

TEST(OpsNf4Kernels, QuantiseReadsSubnormalFloat16AndTakesTheLowerCodeAtAMidpoint) {
  expect_quantized(normal({4096}, at::kFloat).mul(1e-6).to(at::kHalf), 64, false, "subnormal float16");
  at::Tensor x = at::zeros({64}, at::kFloat);
  for (int i = 0; i < 15; ++i) {
    x[3 * i] = std::nextafter(nf4_midpoint(i), -2.0f);
    x[3 * i + 1] = nf4_midpoint(i);
    x[3 * i + 2] = std::nextafter(nf4_midpoint(i), 2.0f);
  }
  x[63] = -1;
  expect_quantized(x, 64, false, "midpoints");
}

cuda::Nf4DequantizeArguments arguments_of(const Nf4Tensor& nf4, const at::Tensor& out) {
  cuda::Nf4DequantizeArguments a;
  a.out = out.mutable_data_ptr();
  a.packed = nf4.packed.const_data_ptr<std::uint8_t>();
  a.quant_map = nf4.quant_map.const_data_ptr<float>();
  a.num_elements = nf4.num_elements();
  a.log2_blocksize = std::countr_zero(static_cast<std::uint64_t>(nf4.blocksize));
  if (nf4.is_nested()) {
    a.absmax_codes = nf4.absmax.const_data_ptr<std::uint8_t>();
    a.nested_absmax = nf4.nested_absmax.const_data_ptr<float>();
    a.nested_map = nf4.nested_map.const_data_ptr<float>();
    a.nested_offset = nf4.nested_offset;
  } else {
    a.absmax = nf4.absmax.const_data_ptr<float>();
  }
  return a;
}

void expect_dequantized(const Nf4Tensor& nf4, at::ScalarType dtype, at::ScalarType rounding, unsigned num_blocks,
                        const std::string& what) {
  const std::int64_t n = nf4.num_elements();
  at::Tensor wanted = at::empty({n}, dtype);
  nf4_dequantize(nf4, wanted, rounding);
  const std::int64_t bytes = n * wanted.element_size();
  const at::Tensor found = guarded_bytes(bytes);
  const cuda::Nf4DequantizeArguments a = arguments_of(nf4, found);
  with_type(rounding, [&](auto type) {
    using Rounded = decltype(type);
    dtype == rounding ? run_dequantize<Rounded, Rounded>(a, num_blocks, n % 2 == 1)
                      : run_dequantize<float, Rounded>(a, num_blocks, n % 2 == 1);
  });
  expect_same_bits(found.narrow(0, 0, bytes).view(dtype), wanted, what);
  expect_guard(found, bytes, what);
}

TEST(OpsNf4Kernels, DequantiseGivesTheBitsOfTheCpu) {
  for (const bool double_quant : {false, true}) {
    for (const std::int64_t blocksize : {32, 64, 4096}) {
      for (const std::int64_t n : {1, 8, 63, 64, 5000, 20011}) {
        // Large enough for float16 to overflow, small enough to be subnormal there.
        for (const float scale : {1.0f, 3e4f, 1e-6f}) {
          const Nf4Tensor nf4 = nf4_quantize(normal({n}, at::kFloat) * scale, blocksize, double_quant);
          for (const at::ScalarType rounding : kDtypes) {
            const std::string what = std::string(c10::toString(rounding)) + " " + std::to_string(n) +
                                     " elements, blocks of " + std::to_string(blocksize);
            expect_dequantized(nf4, rounding, rounding, 3, what);
            expect_dequantized(nf4, at::kFloat, rounding, 1, what + " in float32");
          }
        }
      }
    }
  }
}

TEST(OpsNf4Kernels, NonFiniteValuesReachAbsmax) {
  for (const float bad : {HUGE_VALF, -HUGE_VALF, std::nanf(""), -std::nanf("")}) {
    at::Tensor x = normal({300}, at::kFloat);
    x[70] = bad;
    at::Tensor packed = at::zeros({150}, at::kByte), absmax = at::zeros({5}, at::kFloat);
    run_quantize<float>(
        {x.const_data_ptr(), packed.mutable_data_ptr<std::uint8_t>(), absmax.mutable_data_ptr<float>(), 300, 64},
        false);
    EXPECT_FALSE(std::isfinite(absmax[1].item<float>()));
    EXPECT_TRUE(std::isfinite(absmax[0].item<float>()) && std::isfinite(absmax[2].item<float>()));
  }
}

TEST(OpsNf4Device, QuantiseAndDequantiseLikeTheCpu) {
  for (const at::ScalarType dtype : kDtypes) {
    for (const bool double_quant : {false, true}) {
      const at::Tensor x = normal({257, 131}, dtype);
      const Nf4Tensor wanted = nf4_quantize(x, 64, double_quant), found = nf4_quantize(on_device(x), 64, double_quant);
      expect_same_bits(found.packed.cpu(), wanted.packed, "codes");
      expect_same_bits(found.absmax.cpu(), wanted.absmax, "absmax");
      EXPECT_EQ(found.nested_offset, wanted.nested_offset);
      for (const at::ScalarType out_dtype : {dtype, at::kFloat}) {
        at::Tensor wanted_out = at::empty(x.sizes(), out_dtype), found_out = on_device(at::empty(x.sizes(), out_dtype));
        nf4_dequantize(wanted, wanted_out, dtype);
        nf4_dequantize(found, found_out, dtype);
        expect_same_bits(found_out.cpu(), wanted_out, c10::toString(dtype));
      }
    }
  }
}

}  // namespace
}  // namespace allreco::model::ops
