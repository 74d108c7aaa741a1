#include "model/lora/lora.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/check.h"
#include "model/golden.h"
#include "model/lora/adapter_targets.h"
#include "support/message_of.h"

namespace allreco::model {

namespace {

/// Two layers of a tiny shape with distinct sizes: hidden 6, ffn 10, query 8, key 4.
ModelConfig tiny() {
  ModelConfig config;
  config.vocab_size = 16;
  config.hidden_size = 6;
  config.intermediate_size = 10;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 2;
  return config;
}

LoraConfig with_targets(std::vector<std::string> targets, std::int64_t r = 3) {
  LoraConfig config;
  config.r = r;
  config.target_modules = std::move(targets);
  return config;
}

const LoraEntry& entry_of(const LoraStore& store, const std::string& name) {
  for (const LoraEntry& entry : store.entries()) {
    if (entry.name == "base_model.model.model.layers." + name + ".weight") return entry;
  }
  core::fault("no entry {}", name);
}

}  // namespace

TEST(LoraStore, LayoutFollowsBackward) {
  const LoraStore store(tiny(), with_targets({"all-linear"}), at::kFloat, 1);
  // One layer by hand: {name, rows, columns}; A is [3, in], B is [out, 3].
  struct Expected {
    std::string name;
    std::int64_t rows, columns;
  };
  const std::vector<Expected> layer{
      {"mlp.down_proj.lora_A", 3, 10},   {"mlp.down_proj.lora_B", 6, 3},    {"mlp.gate_proj.lora_A", 3, 6},
      {"mlp.up_proj.lora_A", 3, 6},      {"mlp.gate_proj.lora_B", 10, 3},   {"mlp.up_proj.lora_B", 10, 3},
      {"self_attn.o_proj.lora_A", 3, 8}, {"self_attn.o_proj.lora_B", 6, 3}, {"self_attn.q_proj.lora_A", 3, 6},
      {"self_attn.k_proj.lora_A", 3, 6}, {"self_attn.v_proj.lora_A", 3, 6}, {"self_attn.q_proj.lora_B", 8, 3},
      {"self_attn.k_proj.lora_B", 4, 3}, {"self_attn.v_proj.lora_B", 4, 3}};
  ASSERT_EQ(store.entries().size(), 2 * layer.size());
  std::int64_t offset = 0;
  for (size_t i = 0; i < store.entries().size(); ++i) {
    const LoraEntry& entry = store.entries()[i];
    const Expected& expected = layer[i % layer.size()];
    const std::int64_t l = i < layer.size() ? 1 : 0;
    EXPECT_EQ(entry.name, "base_model.model.model.layers." + std::to_string(l) + "." + expected.name + ".weight");
    EXPECT_EQ(entry.layer, l);
    EXPECT_EQ(entry.offset, offset) << entry.name;
    EXPECT_EQ(entry.shape, (std::vector{expected.rows, expected.columns})) << entry.name;
    EXPECT_EQ(entry.factor, expected.name.ends_with('B') ? LoraFactor::b : LoraFactor::a);
    offset += expected.rows * expected.columns;
  }
  EXPECT_EQ(store.num_parameters(), offset);
  EXPECT_EQ(store.parameters().numel(), offset);
  EXPECT_EQ(store.slice_of_layer(1), (std::pair<std::int64_t, std::int64_t>{0, offset / 2}));
  EXPECT_EQ(store.slice_of_layer(0), (std::pair<std::int64_t, std::int64_t>{offset / 2, offset}));
  EXPECT_EQ(store.first_layer_with_lora(), 0);
}

TEST(LoraStore, GroupsAreViewsOfTheFlatStores) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    LoraStore store(tiny(), with_targets({"v_proj", "q_proj", "down_proj"}), dtype, 1);
    EXPECT_EQ(store.parameters().scalar_type(), dtype == at::kDouble ? at::kDouble : at::kFloat);
    EXPECT_EQ(store.gradients().scalar_type(), store.parameters().scalar_type());
    const LoraGroup& qkv = store.group(0, LoraGroupKind::qkv);
    EXPECT_EQ(qkv.members, (std::vector{Projection::q, Projection::v}));
    EXPECT_EQ(qkv.r_offsets, (std::vector<std::int64_t>{0, 3, 6}));
    EXPECT_EQ(qkv.a.sizes(), (std::vector<std::int64_t>{6, 6}));
    EXPECT_EQ(qkv.b[1].sizes(), (std::vector<std::int64_t>{4, 3}));
    EXPECT_EQ(qkv.a.scalar_type(), dtype);
    EXPECT_TRUE(store.group(0, LoraGroupKind::o).members.empty());
    EXPECT_TRUE(store.group(1, LoraGroupKind::gate_up).members.empty());
    EXPECT_EQ(store.group(1, LoraGroupKind::down).a.sizes(), (std::vector<std::int64_t>{3, 10}));

    // Values written through the flat store appear in the groups after a refresh, row by row.
    const LoraEntry& v_a = entry_of(store, "0.self_attn.v_proj.lora_A");
    const LoraEntry& v_b = entry_of(store, "0.self_attn.v_proj.lora_B");
    LoraStore::view_of(store.parameters(), v_a).fill_(1.0 + 0x1p-7);
    LoraStore::view_of(store.parameters(), v_b).fill_(-2);
    store.refresh_compute_copy();
    EXPECT_TRUE((qkv.a.narrow(0, 3, 3) == 1.0 + 0x1p-7).all().item<bool>());
    EXPECT_TRUE((qkv.b[1] == -2).all().item<bool>());
    EXPECT_TRUE((qkv.b[0] == 0).all().item<bool>());
    EXPECT_EQ(qkv.a.const_data_ptr() ==
                  store.parameters().narrow(0, entry_of(store, "0.self_attn.q_proj.lora_A").offset, 1).const_data_ptr(),
              dtype != at::kBFloat16);

    LoraGroupGradients& gradients = store.layer_gradients(0)[static_cast<size_t>(LoraGroupKind::qkv)];
    gradients.a.narrow(0, 3, 3).fill_(5);
    gradients.b[1].fill_(6);
    EXPECT_TRUE((LoraStore::view_of(store.gradients(), v_a) == 5).all().item<bool>());
    EXPECT_TRUE((LoraStore::view_of(store.gradients(), v_b) == 6).all().item<bool>());
    EXPECT_EQ(store.gradients().sum().item<double>(), 5 * 3 * 6 + 6 * 4 * 3);  // nothing else was touched
    store.zero_gradients();
    EXPECT_EQ(gradients.a.abs().sum().item<double>(), 0);
  }
}

TEST(LoraStore, StartsAsPeftDoes) {
  const ModelConfig model = named_model_config("stories260k");
  const LoraStore store(model, with_targets({"all-linear"}, 16), at::kFloat, 7);
  const LoraStore other_seed(model, with_targets({"all-linear"}, 16), at::kFloat, 8);
  const LoraStore fewer(model, with_targets({"q_proj"}, 16), at::kFloat, 7);
  const LoraStore rounded(model, with_targets({"all-linear"}, 16), at::kBFloat16, 7);
  double sum = 0, squares = 0;
  std::int64_t count = 0;
  for (const LoraEntry& entry : store.entries()) {
    const at::Tensor values = LoraStore::view_of(store.parameters(), entry);
    if (entry.factor == LoraFactor::b) {
      EXPECT_EQ(values.abs().max().item<double>(), 0) << entry.name;
      continue;
    }
    const double bound = 1 / std::sqrt(static_cast<double>(entry.shape[1]));
    EXPECT_LE(values.abs().max().item<double>(), bound) << entry.name;
    EXPECT_GT(values.abs().max().item<double>(), 0.95 * bound) << entry.name;  // 1024 draws: fails once in 10^22
    sum += (values / bound).sum().item<double>();
    squares += (values / bound).square().sum().item<double>();
    count += values.numel();
    EXPECT_FALSE(at::equal(values, LoraStore::view_of(other_seed.parameters(), entry)));
  }
  // Uniform in (-1, 1): mean 0 with variance 1/3, mean square 1/3 with variance 4/45; five standard errors.
  const auto n = static_cast<double>(count);
  EXPECT_NEAR(sum / n, 0, 5 * std::sqrt(1 / (3 * n)));
  EXPECT_NEAR(squares / n, 1.0 / 3, 5 * std::sqrt(4 / (45 * n)));

  const std::string q = "2.self_attn.q_proj.lora_A";  // a factor does not depend on what else is targeted
  EXPECT_TRUE(at::equal(LoraStore::view_of(store.parameters(), entry_of(store, q)),
                        LoraStore::view_of(fewer.parameters(), entry_of(fewer, q))));
  EXPECT_FALSE(at::equal(LoraStore::view_of(store.parameters(), entry_of(store, q)),
                         LoraStore::view_of(store.parameters(), entry_of(store, "3.self_attn.q_proj.lora_A"))));
  EXPECT_TRUE(
      at::equal(rounded.group(2, LoraGroupKind::qkv).a, store.group(2, LoraGroupKind::qkv).a.to(at::kBFloat16)));
}

TEST(LoraStore, OtherStartsAreAsInPeft) {
  const ModelConfig model = named_model_config("stories260k");
  LoraConfig config = with_targets({"all-linear"}, 16);
  config.rank_pattern = {{"v_proj", 8}};
  config.init_lora_weights = "gaussian";
  const LoraStore gaussian(model, config, at::kFloat, 7);
  config.init_lora_weights = "false";
  const LoraStore uniform(model, config, at::kFloat, 7);
  double squares = 0, fourths = 0, count = 0;
  for (const LoraEntry& entry : gaussian.entries()) {
    const at::Tensor values = LoraStore::view_of(gaussian.parameters(), entry);
    const at::Tensor uniform_values = LoraStore::view_of(uniform.parameters(), entry);
    const double bound = 1 / std::sqrt(static_cast<double>(entry.shape[1]));
    EXPECT_LE(uniform_values.abs().max().item<double>(), bound) << entry.name;
    EXPECT_GT(uniform_values.abs().max().item<double>(), 0.9 * bound) << entry.name;  // at least 256 draws
    if (entry.factor == LoraFactor::b) {
      EXPECT_EQ(values.abs().max().item<double>(), 0) << entry.name;
      continue;
    }
    const at::Tensor standard = values.to(at::kDouble) * entry.shape[0];  // deviation 1 / r, r of this module
    squares += standard.square().sum().item<double>();
    fourths += standard.pow(4).sum().item<double>();
    count += static_cast<double>(values.numel());
  }
  // Of N(0, 1): E x^2 = 1 with variance 2, E x^4 = 3 with variance 96; five standard errors.
  EXPECT_NEAR(squares / count, 1, 5 * std::sqrt(2 / count));
  EXPECT_NEAR(fourths / count, 3, 5 * std::sqrt(96 / count));
}

TEST(LoraStore, RefusesBeforeItAllocatesMoreThanThereIs) {
  ModelConfig model = read_model_config(testing::golden("llama-tiny"));
  model.num_hidden_layers = 4096;
  model.hidden_size = model.intermediate_size = 1 << 20;  // 65,536 ranks are 2e15 parameters
  LoraConfig config = with_targets({"all-linear"}, 65536);
  const std::string message = support::message_of([&] { LoraStore(model, config, at::kFloat, 0); });
  EXPECT_NE(message.find("lora_r = 65536 gives"), std::string::npos) << message;
  EXPECT_NE(message.find("are available"), std::string::npos) << message;
}

TEST(LoraConfig, ScalingAndRanges) {
  LoraConfig config = with_targets({"up_proj", "q_proj", "up_proj"}, 8);
  EXPECT_EQ(config.scaling(8, 16), 2);
  config.use_rslora = true;
  EXPECT_DOUBLE_EQ(config.scaling(8, 16), 16 / std::sqrt(8.0));

  const auto refusal = [](auto change) {
    LoraConfig broken;
    change(broken);
    return support::message_of([&] { validate(broken); });
  };
  EXPECT_NE(refusal([](LoraConfig& c) { c.r = 0; }).find("lora_r = 0"), std::string::npos);
  EXPECT_NE(refusal([](LoraConfig& c) { c.lora_alpha = -1; }).find("lora_alpha"), std::string::npos);
  EXPECT_NE(refusal([](LoraConfig& c) { c.lora_alpha = std::nan(""); }).find("lora_alpha"), std::string::npos);
  EXPECT_NE(refusal([](LoraConfig& c) { c.lora_dropout = 1; }).find("lora_dropout"), std::string::npos);
  EXPECT_NE(refusal([](LoraConfig& c) { c.target_modules = {"wq"}; }).find("wq"), std::string::npos);
  EXPECT_NE(refusal([](LoraConfig& c) {
              c.target_modules = {"q_proj", "all-linear"};
            }).find("all-linear"),
            std::string::npos);
  EXPECT_NE(refusal([](LoraConfig& c) { c.r = 100'000'000'000; }).find("1 to 65536"), std::string::npos);
  EXPECT_NE(refusal([](LoraConfig& c) { c.lora_alpha = 1e308; }).find("above 0 and at most 1000000"),
            std::string::npos);
  EXPECT_NE(refusal([](LoraConfig& c) { c.init_lora_weights = "pissa_niter_1001"; }).find("1000"), std::string::npos);
  EXPECT_NE(refusal([](LoraConfig& c) { c.init_lora_weights = "olora", c.r = 40000; }).find("lora_r = 80000"),
            std::string::npos)
      << "what it is written as, of twice the rank, could not be read back";
  EXPECT_NE(refusal([](LoraConfig& c) { c.target_modules = {}; }).find("target_modules"), std::string::npos);
  for (const char* unknown : {"corda", "pissa_niter_", "pissa_niter_x", "pissa_niter_-1", "pissa_niter_2.5", "Pissa"}) {
    const std::string message = refusal([&](LoraConfig& c) { c.init_lora_weights = unknown; });
    EXPECT_NE(message.find(std::string("init_lora_weights = ") + unknown), std::string::npos) << message;
    EXPECT_NE(message.find("pissa_niter_N"), std::string::npos) << message;
  }
  for (const char* start : {"pissa", "pissa_niter_4", "olora"}) {
    const std::string message = refusal([&](LoraConfig& c) { c.init_lora_weights = start, c.use_dora = true; });
    EXPECT_NE(message.find(std::string("init_lora_weights = ") + start + " cannot be used with use_dora"),
              std::string::npos)
        << message;
  }
}

TEST(LoraConfig, APlainOneOfTwiceTheRanksScalesAlike) {
  for (const bool use_rslora : {false, true}) {
    LoraConfig config = with_targets({"all-linear"}, 3);
    config.use_rslora = use_rslora;
    config.rank_pattern = {{"k_proj", 2}};
    config.alpha_pattern = {{"v_proj", 5}};
    EXPECT_EQ(as_plain_lora(config).r, 3);
    config.init_lora_weights = "olora";
    const LoraConfig plain = as_plain_lora(config);
    EXPECT_EQ(plain.init_lora_weights, "true");
    const std::vector<LayerTargets> before = resolve_targets(config, tiny()), after = resolve_targets(plain, tiny());
    for (const Projection p : kProjections) {
      EXPECT_EQ(after[1][index_of(p)]->r, 2 * before[1][index_of(p)]->r) << name_of(p);
      // Two roots and two quotients in double, each rounded once.
      EXPECT_NEAR(after[1][index_of(p)]->scaling / before[1][index_of(p)]->scaling, 1, 1e-15) << name_of(p);
    }
  }
}

TEST(LoraConfig, AStartFromTheWeightHasNoMoreRanksThanTheWeight) {
  LoraConfig config = with_targets({"q_proj", "v_proj"}, 4);  // v_proj is [4, 6]
  config.init_lora_weights = "pissa";
  EXPECT_EQ(resolve_targets(config, tiny()).size(), 2u);
  config.r = 5;
  const std::string message = support::message_of([&] { resolve_targets(config, tiny()); });
  EXPECT_NE(message.find("lora_r = 5 is out of range for model.layers.0.self_attn.v_proj [4, 6]"), std::string::npos)
      << message;
  EXPECT_NE(message.find("at most rank 4"), std::string::npos) << message;
  config.rank_pattern = {{"v_proj", 4}};
  EXPECT_EQ(resolve_targets(config, tiny())[0][index_of(Projection::v)]->r, 4);
  config.rank_pattern = {};
  config.init_lora_weights = "true";
  EXPECT_EQ(resolve_targets(config, tiny())[0][index_of(Projection::v)]->r, 5);
}

}  // namespace allreco::model
