// NF4 against every byte of bitsandbytes' (golden/nf4), against a loop in double, and across threads.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "core/check.h"
#include "golden.h"
#include "model/ops/nf4.h"
#include "model/ops/nf4_codebook.h"
#include "ops_compare.h"

namespace allreco::model::ops {
namespace {

using model::testing::golden_json;
using model::testing::golden_tensors;
using model::testing::user_error_of;
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
  int num_cases = 0;
  for (const core::Json& about : golden_json("nf4/meta.json").at("cases").elements()) {
    const std::string name = about.at("name").as_string();
    if (name.rfind("q8", 0) == 0) {
      continue;  // ops_blockwise8_test.cpp
    }
    ++num_cases;
    const at::Tensor input = file.tensor(name + ".input");
    const bool nested = about.at("nested").as_bool();
    const Nf4Tensor found = nf4_quantize(input, about.at("blocksize").as_int(), nested);
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

}  // namespace
}  // namespace allreco::model::ops
