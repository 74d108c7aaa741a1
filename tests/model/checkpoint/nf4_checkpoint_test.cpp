// Bases in NF4: what bitsandbytes saved is kept byte by byte; what is quantised while it streams is what transformers
// would have saved; what is malformed is refused by name.
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "model/checkpoint/weight_source.h"
#include "model/decoder/weights.h"
#include "model/golden.h"
#include "model/lora/variant.h"
#include "support/message_of.h"

namespace allreco::model {
namespace {

using testing::bytes_of;
using testing::golden;
using testing::text_of;
using testing::Variant;

const std::string kWeight = "model.layers.1.mlp.up_proj.weight";
const std::string kState = kWeight + ".quant_state.bitsandbytes__nf4";

Quantization nf4_double() {
  Quantization quantization;
  quantization.load_in_4bit = true;
  quantization.bnb_4bit_use_double_quant = true;
  return quantization;
}

/// The weights by name, as they are kept.
std::map<std::string, WeightParts> parts_by_name(WeightSource& source) {
  std::map<std::string, WeightParts> parts;
  for (const StoredWeight& weight : source.stored()) parts.emplace(weight.spec.name, source.next());
  return parts;
}

void expect_same_parts(const std::map<std::string, WeightParts>& actual,
                       const std::map<std::string, WeightParts>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (const auto& [name, parts] : expected) {
    const WeightParts& found = actual.at(name);
    ASSERT_EQ(found.size(), parts.size()) << name;
    for (size_t i = 0; i < parts.size(); ++i) EXPECT_TRUE(at::equal(found[i], parts[i])) << name << " part " << i;
  }
}

}  // namespace

TEST(Nf4Checkpoint, ItsBytesAreKeptAsTheyAre) {
  const Checkpoint file(golden("llama-tiny-nf4"));
  const BaseModel base = load_base_model(golden("llama-tiny-nf4").string(), "auto");
  EXPECT_EQ(base.storage, "nf4 with double quantisation, products in float32");
  const ops::Nf4Tensor& nf4 = base.weights.layers[1][Projection::up].quantized();
  EXPECT_EQ(nf4.packed.const_data_ptr(), base.weights.layers[1][Projection::up].quantized().packed.const_data_ptr());
  EXPECT_TRUE(at::equal(nf4.packed, file.tensor(kWeight)));
  EXPECT_TRUE(at::equal(nf4.absmax, file.tensor(kWeight + ".absmax")));
  EXPECT_TRUE(at::equal(nf4.nested_absmax, file.tensor(kWeight + ".nested_absmax")));
  EXPECT_TRUE(at::equal(nf4.nested_map, file.tensor(kWeight + ".nested_quant_map")));
  EXPECT_TRUE(at::equal(base.weights.embedding, file.tensor("model.embed_tokens.weight")));
}

TEST(Nf4Checkpoint, QuantisingADenseOneGivesWhatTransformersSaved) {
  for (const FileAccess access : {FileAccess::map, FileAccess::read}) {
    WeightSource dense(golden("llama-tiny").string(), "auto", nf4_double(), access);
    WeightSource saved(golden("llama-tiny-nf4").string(), "auto", {}, access);
    expect_same_parts(parts_by_name(dense), parts_by_name(saved));
  }
}

TEST(Nf4Checkpoint, TheDtypeToComputeInIsQuantised) {
  WeightSource source(golden("llama-tiny").string(), "bfloat16", nf4_double(), FileAccess::map);
  const Checkpoint dense(golden("llama-tiny"));
  const auto parts = parts_by_name(source);
  const ops::Nf4Tensor expected = ops::nf4_quantize(dense.tensor(kWeight).to(at::kBFloat16), 64, true);
  EXPECT_TRUE(at::equal(parts.at(kWeight)[0], expected.packed));
  EXPECT_EQ(parts.at("model.embed_tokens.weight")[0].scalar_type(), at::kBFloat16);
}

TEST(Nf4Checkpoint, SkippedModulesStayDense) {
  Quantization quantization = nf4_double();
  quantization.llm_int8_skip_modules = {"up_proj", "model.layers.0", R"(model\.layers\.\d+\.self_attn\.k_proj)"};
  const Weights weights = load_base_model(golden("llama-tiny").string(), "auto", at::kCPU, quantization).weights;
  for (size_t l = 0; l < weights.layers.size(); ++l) {
    for (const Projection p : kProjections) {
      const bool skipped = l == 0 || p == Projection::up || p == Projection::k;
      EXPECT_EQ(weights.layers[l][p].is_quantized(), !skipped) << l << " " << name_of(p);
    }
  }
}

TEST(Nf4Checkpoint, ModulesAreSkippedAsTransformersDoes) {  // quantizers_utils.should_convert_module
  EXPECT_TRUE(is_skipped("layer.1.attn", {"layer.1"}));
  EXPECT_FALSE(is_skipped("layer.11.attn", {"layer.1"}));
  EXPECT_TRUE(is_skipped("layer.11.attn", {"layer.*"}));
  EXPECT_FALSE(is_skipped("mlp.gate_proj", {"mlp.gate"}));
  EXPECT_TRUE(is_skipped("model.decoder.layers.23.fc1", {"fc1"}));
  EXPECT_TRUE(is_skipped("a.b", {"x", "a|c"}));
  EXPECT_TRUE(is_skipped("a.b", {"a\\."}));
  EXPECT_FALSE(is_skipped("a.b", {}));
  EXPECT_NE(support::message_of([] { is_skipped("a", {"("}); }).find("regular expression"), std::string::npos);
}

TEST(Nf4Checkpoint, AnyFingerprintIsTheSameForEachWayOfReading) {
  for (const char* model : {"llama-tiny", "llama-tiny-nf4"}) {
    const std::string directory = golden(model).string();
    const std::string expected = load_base_model(directory, "auto").fingerprint;
    for (const FileAccess access : {FileAccess::map, FileAccess::read}) {
      WeightSource source(directory, "auto", nf4_double(), access);
      parts_by_name(source);
      EXPECT_EQ(source.fingerprint(), expected) << model;
    }
  }
}

TEST(Nf4Checkpoint, ProductsUseTheDequantisedWeight) {
  const BaseModel base = load_base_model(golden("llama-tiny-nf4").string(), "float32");
  const FrozenLinear& linear = base.weights.layers[2][Projection::down];
  const at::Tensor dense = linear.dense().clone();
  EXPECT_EQ(dense.sizes(), (std::vector<std::int64_t>{linear.out_features(), linear.in_features()}));
  const at::Tensor x = at::full({3, linear.in_features()}, 0.25), dy = at::full({3, linear.out_features()}, 0.5);
  EXPECT_TRUE(at::equal(linear.forward(x), x.mm(dense.t())));
  EXPECT_TRUE(at::equal(linear.backward(dy), dy.mm(dense)));
  at::Tensor dx = x.clone();
  linear.backward_add(dy, dx);
  EXPECT_TRUE(testing::near(dx, x + dy.mm(dense), 1e-5));
}

// A model whose weights were float16 before they were quantised, computed in bfloat16: backward rounds to the one, then
// to the other.
TEST(Nf4Checkpoint, BackwardRoundsToTheDtypeThatWasQuantised) {
  const Checkpoint file(golden("llama-tiny"));
  const at::Tensor weight = file.tensor(kWeight);
  for (const at::ScalarType stored : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const at::ScalarType compute : {at::kFloat, at::kBFloat16}) {
      const ops::Nf4Tensor nf4 = ops::nf4_quantize(weight.to(stored), 64, true);
      at::Tensor dense = at::empty(weight.sizes(), stored);
      ops::nf4_dequantize(nf4, dense, stored);
      const FrozenLinear linear(nf4, compute, std::make_shared<DenseWorkspace>());
      const at::Tensor dy = at::full({2, linear.out_features()}, 0.5, at::TensorOptions().dtype(compute));
      const at::Tensor expected = dy.to(at::kDouble).mm(dense.to(compute).to(at::kDouble));
      const double roundoff = compute == at::kFloat ? 0x1p-20 : 0x1p-8;
      const double size = expected.abs().max().item<double>();
      EXPECT_TRUE(testing::near(linear.backward(dy), expected, roundoff * size)) << stored << " " << compute;
    }
  }
}

struct Malformed {
  std::string name;
  std::function<void(Variant&)> damage;
  std::string tensor;    // that the refusal names
  std::string expected;  // and what else it says
};
void replace_state(Variant& variant, const std::string& from, const std::string& to) {
  std::string text = text_of(variant.tensors.at(kState));
  const size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos);
  variant.tensors[kState] = bytes_of(text.replace(at, from.size(), to));
}

class MalformedNf4 : public ::testing::TestWithParam<Malformed> {};

TEST_P(MalformedNf4, IsRefusedByName) {
  Variant variant("llama-tiny-nf4");
  GetParam().damage(variant);
  const std::string message = variant.refusal();
  EXPECT_NE(message.find(GetParam().tensor), std::string::npos) << message;
  EXPECT_NE(message.find(GetParam().expected), std::string::npos) << message;
}

INSTANTIATE_TEST_SUITE_P(
    Files, MalformedNf4,
    ::testing::Values(
        Malformed{"no_quant_state", [](Variant& v) { v.tensors.erase(kState); }, kState, "lacks"},
        Malformed{"no_absmax", [](Variant& v) { v.tensors.erase(kWeight + ".absmax"); }, kWeight + ".absmax", "lacks"},
        Malformed{"no_nested_map", [](Variant& v) { v.tensors.erase(kWeight + ".nested_quant_map"); },
                  kWeight + ".nested_quant_map", "lacks"},
        Malformed{"no_weight", [](Variant& v) { v.tensors.erase(kWeight); }, kWeight, "lacks"},
        Malformed{"blocksize_odd", [](Variant& v) { replace_state(v, "\"blocksize\": 64", "\"blocksize\": 65"); },
                  kState, "power of two"},
        Malformed{"blocksize_other", [](Variant& v) { replace_state(v, "\"blocksize\": 64", "\"blocksize\": 128"); },
                  kWeight + ".absmax", "[688], expected Byte [344]"},
        Malformed{"shape", [](Variant& v) { replace_state(v, "[344, 128]", "[128, 344]"); }, kState,
                  "config.json asks for [344, 128]"},
        Malformed{"packed_cut", [](Variant& v) { v.tensors[kWeight] = v.tensors[kWeight].narrow(0, 0, 22015); },
                  kWeight, "[22015, 1], expected Byte [22016, 1]"},
        Malformed{"absmax_cut",
                  [](Variant& v) {
                    at::Tensor& absmax = v.tensors[kWeight + ".absmax"];
                    absmax = absmax.narrow(0, 0, absmax.numel() - 1);
                  },
                  kWeight + ".absmax", "[687], expected Byte [688]"},
        Malformed{"unknown_type", [](Variant& v) { replace_state(v, "\"nf4\"", "\"af4\""); }, kState, "quant_type"},
        Malformed{"fp4",
                  [](Variant& v) {
                    v.tensors[kWeight + ".quant_state.bitsandbytes__fp4"] = v.tensors[kState];
                    v.tensors.erase(kState);
                  },
                  kWeight, "fp4"},
        Malformed{"offset_nan",
                  [](Variant& v) {
                    const std::string text = text_of(v.tensors.at(kState));
                    v.tensors[kState] =
                        bytes_of(text.substr(0, text.find("\"nested_offset\"")) + "\"nested_offset\": NaN}");
                  },
                  kState, "NaN"},
        Malformed{"scale_nan",
                  [](Variant& v) {
                    v.tensors[kWeight + ".nested_absmax"] =
                        at::full_like(v.tensors[kWeight + ".nested_absmax"], std::numeric_limits<double>::quiet_NaN());
                  },
                  kWeight + ".nested_absmax", "nan"},
        Malformed{"other_table", [](Variant& v) { v.tensors[kWeight + ".quant_map"] = at::zeros({16}); },
                  kWeight + ".quant_map", "table of NF4"},
        Malformed{"state_is_no_json", [](Variant& v) { v.tensors[kState] = bytes_of("[1"); }, kState, "JSON"}),
    [](const auto& tested) { return tested.param.name; });

TEST(Nf4Checkpoint, OtherSchemesAreRefusedByName) {
  const auto refusal = [](const core::Json& quantization) {
    Variant variant("llama-tiny-nf4");
    variant.config["quantization_config"] = quantization;
    return variant.refusal();
  };
  EXPECT_NE(refusal({{"quant_method", "gptq"}, {"bits", 4}}).find("gptq"), std::string::npos);
  EXPECT_NE(refusal({{"quant_method", "bitsandbytes"}, {"load_in_8bit", true}}).find("load_in_8bit"),
            std::string::npos);
  EXPECT_NE(refusal({{"quant_method", "bitsandbytes"}, {"load_in_4bit", true}}).find("fp4"), std::string::npos);
  EXPECT_NE(refusal({{"quant_method", "bitsandbytes"},
                     {"load_in_4bit", true},
                     {"bnb_4bit_quant_type", "nf4"},
                     {"bnb_4bit_quant_storage", "bfloat16"}})
                .find("bnb_4bit_quant_storage"),
            std::string::npos);
}

}  // namespace allreco::model
