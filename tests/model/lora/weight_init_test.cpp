// Starts from the weights against what PEFT made of them (tests/fixtures/lora-starts). Signs of singular vectors and of
// Q's columns are free, so products are compared, and lengths of rows.
#include "model/lora/weight_init.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mm.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/files.h"
#include "core/random.h"
#include "model/decoder/decoder.h"
#include "model/golden.h"
#include "model/lora/adapter.h"
#include "model/lora/merge.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::model {
namespace {

using testing::golden;
using testing::near;
using Tokens = std::vector<std::int32_t>;

at::Tensor singular_values(const at::Tensor& weight) {
  return std::get<1>(at::linalg_svd(weight.to(at::kDouble), /*full_matrices=*/false));
}

/// How far two computed products B A may be apart. LAPACK's decompositions are exact for some W + E with |E| of a few
/// eps |W|, here 10. The best approximation of rank r then moves by |E| s_r / (s_r - s_r+1), and Q_r R_r, W projected
/// to the span of its first r columns, by |E| times those columns' condition.
double product_tolerance(const at::Tensor& weight, const LoraConfig& config, std::int64_t r, double eps) {
  const at::Tensor s = singular_values(weight);
  double condition = 0;
  if (config.init_lora_weights == "olora") {
    const at::Tensor of_columns = singular_values(weight.narrow(1, 0, r));
    condition = (of_columns[0] / of_columns[r - 1]).item<double>();
  } else {
    condition = (s[r - 1] / (s[r - 1] - s[r])).item<double>();
  }
  return 2 * 10 * eps * s[0].item<double>() * condition;
}

LoraStore started(const BaseModel& base, const LoraConfig& config, std::uint64_t seed = 0) {
  LoraStore store(base.config, config, base.weights.dtype(), seed);
  for (std::int64_t layer = 0; layer < store.num_layers(); ++layer)
    init_layer_from_weights(store, base.weights, layer, seed);
  store.frozen_pair().copy_(store.parameters());
  store.refresh_frozen_pair();
  store.refresh_compute_copy();
  return store;
}

BaseModel tiny_base(const std::string& dtype = "float32", const Quantization& quantization = {}) {
  return load_base_model(golden("llama-tiny").string(), dtype, at::kCPU, quantization);
}

LoraConfig config_of(const std::string& form) {
  const core::Json lora = core::read_json_file(testing::fixture("lora-starts/" + form + "/trajectory.json")).at("lora");
  LoraConfig config;
  config.init_lora_weights = lora.at("init_lora_weights").get<std::string>();
  config.r = lora.at("r").get<std::int64_t>();
  config.lora_alpha = lora.at("lora_alpha").get<double>();
  config.use_rslora = lora.value("use_rslora", false);
  config.target_modules = lora.at("target_modules").get<std::vector<std::string>>();
  config.layers_to_transform = lora.value("layers_to_transform", std::vector<std::int64_t>());
  const core::Json ranks = lora.value("rank_pattern", core::Json::object());
  const core::Json alphas = lora.value("alpha_pattern", core::Json::object());
  for (const auto& [key, r] : ranks.items()) config.rank_pattern.emplace_back(key, r.get<std::int64_t>());
  for (const auto& [key, alpha] : alphas.items()) config.alpha_pattern.emplace_back(key, alpha.get<double>());
  return config;
}

at::Tensor logits_of(const BaseModel& base, LoraStore* store, Tokens tokens) {
  tokens.push_back(0);  // one more, so that the last position predicts something
  PackedBatchBuilder builder;
  builder.add_example(tokens, 0);
  return Decoder(base.config, base.weights, store).logits(builder.build());
}

const Tokens kTokens{1, 5, 9, 200, 7, 300, 12};

class LoraStartsTest : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Peers, LoraStartsTest, ::testing::Values("pissa", "olora"),
                         [](const auto& tested) { return tested.param; });

TEST_P(LoraStartsTest, AreThoseOfPeft) {
  const BaseModel base = tiny_base();
  const LoraConfig config = config_of(GetParam());
  LoraStore found = started(base, config), peft(base.config, config, at::kFloat, 0);
  load_adapter(testing::fixture("lora-starts/" + GetParam()), peft);  // its frozen pair is PEFT's start
  size_t compared = 0;
  for (size_t i = 0; i < found.entries().size(); ++i) {
    const LoraEntry& a = found.entries()[i];
    if (a.factor != LoraFactor::a) continue;
    const auto b = std::find_if(found.entries().begin(), found.entries().end(), [&](const LoraEntry& entry) {
      return entry.layer == a.layer && entry.projection == a.projection && entry.factor == LoraFactor::b;
    });
    const auto factor = [](const LoraStore& store, const LoraEntry& entry) {
      return LoraStore::view_of(store.frozen_pair(), entry).to(at::kDouble);
    };
    const at::Tensor weight = base.weights.layers[static_cast<size_t>(a.layer)][a.projection].dense();
    const double tolerance = product_tolerance(weight, config, a.shape[0], std::numeric_limits<float>::epsilon());
    EXPECT_TRUE(near(at::mm(factor(found, *b), factor(found, a)), at::mm(factor(peft, *b), factor(peft, a)), tolerance))
        << a.name;
    // Row i of A is as long as sqrt(s_i / scaling), or as R's row.
    const auto lengths = [&](const LoraStore& store) { return at::linalg_vector_norm(factor(store, a), 2, {1}); };
    EXPECT_TRUE(near(lengths(found), lengths(peft), tolerance)) << a.name;
    ++compared;
  }
  EXPECT_EQ(compared, GetParam() == "pissa" ? 9u : 8u);
}

// Exactly the files of PEFT's save_pretrained(path_initial_model_for_weight_conversion), from both pairs.
TEST_P(LoraStartsTest, AreWrittenAsPeftConvertsThem) {
  const auto directory = testing::fixture("lora-starts/" + GetParam());
  const ModelConfig model = read_model_config(golden("llama-tiny"));
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    LoraStore store(model, config_of(GetParam()), dtype, 0);
    load_adapter(directory, store);
    const support::TemporaryDirectory written;
    save_adapter(written.path(), store, {"llama-tiny"});
    EXPECT_TRUE(core::read_file(written / "adapter_model.safetensors") ==
                core::read_file(directory / "adapter_model.safetensors"));
    EXPECT_EQ(core::read_file(written / "adapter_config.json"), core::read_file(directory / "adapter_config.json"));
  }
}

// Limit: that of the fixtures, 1e-4 for logits (decoder_golden_test.cpp). PEFT's are those of the unconverted model.
TEST_P(LoraStartsTest, GivePeftsLogitsAfterTrainingInBothForms) {
  const auto directory = testing::fixture("lora-starts/" + GetParam());
  const BaseModel base = tiny_base();
  LoraStore pairs(base.config, config_of(GetParam()), at::kFloat, 0);
  LoraStore plain(base.config, read_adapter_config(directory).lora, at::kFloat, 0);
  load_adapter(directory, pairs);
  load_adapter(directory, plain);
  EXPECT_EQ(plain.num_parameters(), 2 * pairs.num_parameters());
  EXPECT_FALSE(plain.frozen_pair().defined());

  const SafetensorsFile expected(directory / "expected.safetensors");
  const at::Tensor ids = expected.tensor("input_ids");
  const auto* data = ids.const_data_ptr<std::int64_t>();
  const Tokens tokens(data, data + ids.numel());
  const at::Tensor logits = logits_of(base, &plain, tokens);
  EXPECT_TRUE(near(logits.narrow(0, logits.size(0) - 4, 4), expected.tensor("logits"), 1e-4));
  EXPECT_GT(testing::max_abs_difference(logits, logits_of(base, nullptr, tokens)), 1e-2) << "training did nothing";
  // The same products of the same factors; with rsLoRA the scalings differ in the last bit of a double.
  EXPECT_TRUE(near(logits_of(base, &pairs, tokens), logits, GetParam() == "pissa" ? 0 : 1e-6));

  const at::Tensor& weight = base.weights.layers[2][plain.group(2, LoraGroupKind::qkv).members[0]].dense();
  const Projection projection = plain.group(2, LoraGroupKind::qkv).members[0];
  EXPECT_TRUE(near(merged_weight(weight, pairs.group(2, LoraGroupKind::qkv), projection),
                   merged_weight(weight, plain.group(2, LoraGroupKind::qkv), projection), 1e-7));
}

/// A decaying spectrum, so that power iterations find the largest singular vectors: [out, in], float64.
at::Tensor decaying(std::int64_t out, std::int64_t in) {
  const at::Tensor weight = at::empty({out, in}, at::kDouble);
  core::RandomStream stream(11);
  for (std::int64_t i = 0; i < out; ++i)
    for (std::int64_t j = 0; j < in; ++j) weight[i][j] = stream.next_normal() * std::pow(0.7, static_cast<double>(j));
  return weight;
}

TEST(WeightStart, IterationsConvergeToTheLargestSingularVectors) {
  for (const auto& [out, in] : std::vector<std::pair<std::int64_t, std::int64_t>>{{30, 12}, {12, 30}, {12, 12}}) {
    const at::Tensor weight = decaying(out, in);
    const at::Tensor s = singular_values(weight);
    const std::int64_t r = 4;
    const double best = std::sqrt(s.narrow(0, r, s.numel() - r).square().sum().item<double>());
    const auto product = [&](const std::string& start, std::uint64_t key, double scaling) {
      LoraConfig config;
      config.init_lora_weights = start;
      const InitFactors factors = init_factors(weight, config, r, scaling, key);
      EXPECT_EQ(factors.a.sizes(), (std::vector<std::int64_t>{r, in}));
      EXPECT_EQ(factors.b.sizes(), (std::vector<std::int64_t>{out, r}));
      // The two factors share the singular values evenly.
      EXPECT_TRUE(near(at::linalg_vector_norm(factors.a, 2, {1}), at::linalg_vector_norm(factors.b, 2, {0}), 1e-12));
      return scaling * at::mm(factors.b, factors.a);
    };
    const auto residual = [&](const std::string& start) {
      return (weight - product(start, 3, 2)).square().sum().sqrt().item<double>();
    };
    EXPECT_NEAR(residual("pissa"), best, 1e-12 * s[0].item<double>());
    EXPECT_GT(residual("pissa_niter_0"), residual("pissa_niter_1"));
    EXPECT_GT(residual("pissa_niter_1"), residual("pissa_niter_4"));
    EXPECT_GE(residual("pissa_niter_4"), best * (1 - 1e-12));

    // After N iterations the subspace is off by about (s_r+1 / s_r)^(2 N + 1).
    LoraConfig pissa;
    pissa.init_lora_weights = "pissa";
    const double tolerance = product_tolerance(weight, pissa, r, std::numeric_limits<double>::epsilon());
    ASSERT_LT(std::pow((s[r] / s[r - 1]).item<double>(), 601), tolerance);
    const at::Tensor expected = product("pissa", 0, 1);
    EXPECT_TRUE(near(product("pissa_niter_300", 1, 1), expected, tolerance));
    EXPECT_TRUE(near(product("pissa_niter_300", 2, 0.3), expected, tolerance));
    EXPECT_FALSE(at::equal(product("pissa_niter_1", 1, 1), product("pissa_niter_1", 2, 1)));
    EXPECT_TRUE(at::equal(product("pissa_niter_1", 1, 1), product("pissa_niter_1", 1, 1)));
  }
}

/// [B, -B0] [A; A0] x is a sum of 2 r terms that cancel exactly, so only its rounding is left: 2 r eps of |B||A x|,
/// which is smaller than the rounding of W x. So the logits move by no more than by another order of sums: the
/// fixtures' 1e-4.
TEST(WeightStart, StartsAsTheBaseModel) {
  Quantization nf4;
  nf4.load_in_4bit = true;
  nf4.bnb_4bit_use_double_quant = true;
  for (const Quantization& quantization : {Quantization(), nf4}) {
    const BaseModel base = tiny_base("float32", quantization);
    const at::Tensor expected = logits_of(base, nullptr, kTokens);
    for (const char* start : {"pissa", "pissa_niter_2", "olora"}) {
      LoraConfig config;
      config.r = 8;
      config.init_lora_weights = start;
      LoraStore store = started(base, config);
      EXPECT_GT(store.parameters().abs().max().item<double>(), 0.1) << start;
      EXPECT_TRUE(near(logits_of(base, &store, kTokens), expected, 1e-4)) << start;
      // The pairs cancel because both are there: without the frozen one it is another model.
      store.frozen_pair().zero_();
      store.refresh_frozen_pair();
      EXPECT_GT(testing::max_abs_difference(logits_of(base, &store, kTokens), expected), 0.1) << start;
    }
  }
}

TEST(WeightStart, AQuantisedBaseStartsFromItsDequantisedWeight) {
  Quantization nf4;
  nf4.load_in_4bit = true;
  const BaseModel base = tiny_base("float32", nf4);
  LoraConfig config;
  config.r = 16;
  config.lora_alpha = 16;
  config.init_lora_weights = "olora";
  config.target_modules = {"k_proj"};  // [32, 128]
  const LoraStore store = started(base, config);
  const FrozenLinear& weight = base.weights.layers[1][Projection::k];
  ASSERT_TRUE(weight.is_quantized());
  const LoraGroup& group = store.group(1, LoraGroupKind::qkv);
  // Q_r R_r has W's first r columns, whatever lies behind them.
  const at::Tensor product = at::mm(group.b[0].narrow(1, 0, 16), group.a.narrow(0, 0, 16));
  EXPECT_TRUE(near(product.narrow(1, 0, 16), weight.dense().narrow(1, 0, 16),
                   product_tolerance(weight.dense(), config, 16, std::numeric_limits<float>::epsilon())));
  EXPECT_GT(testing::max_abs_difference(product.narrow(1, 0, 16),
                                        tiny_base().weights.layers[1][Projection::k].dense().narrow(1, 0, 16)),
            1e-2);
}

// What a run resumes from: both pairs, to the bit; and a checkpoint of a plain run does not pass for one.
TEST(WeightStart, BothPairsComeBackFromTheFile) {
  const BaseModel base = tiny_base();
  LoraConfig config;
  config.r = 3;
  config.init_lora_weights = "pissa_niter_1";
  LoraStore store = started(base, config, 5);
  store.parameters().mul_(1.25);
  store.refresh_compute_copy();
  const support::TemporaryDirectory directory;
  save_adapter(directory.path(), store, {"llama-tiny"});
  LoraStore again(base.config, config, at::kFloat, 0);
  EXPECT_TRUE(again.parameters().isnan().all().item<bool>());
  load_adapter(directory.path(), again);
  EXPECT_TRUE(at::equal(again.parameters(), store.parameters()));
  EXPECT_TRUE(at::equal(again.frozen_pair(), store.frozen_pair()));
  EXPECT_TRUE(at::equal(logits_of(base, &again, kTokens), logits_of(base, &store, kTokens)));

  LoraConfig plain = config;
  plain.init_lora_weights = "true";
  save_adapter(directory.path(), LoraStore(base.config, plain, at::kFloat, 0), {"llama-tiny"});
  const std::string message = support::message_of([&] { load_adapter(directory.path(), again); });
  EXPECT_NE(message.find("expected floating-point values [6, 344]"), std::string::npos) << message;
}

}  // namespace
}  // namespace allreco::model
