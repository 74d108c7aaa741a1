#include "model/lora/adapter.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "core/files.h"
#include "model/decoder/decoder.h"
#include "model/golden.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::model {
namespace fs = std::filesystem;
using core::Json;
using testing::golden;

namespace {

LoraStore load(const fs::path& adapter, at::ScalarType dtype = at::kFloat) {
  LoraStore store(read_model_config(golden("llama-tiny")), read_adapter_config(adapter).lora, dtype, 0);
  load_adapter(adapter, store);
  return store;
}

std::string patched_refusal(const Json& patch) {
  const support::TemporaryDirectory directory;
  Json json = core::read_json_file(golden("lora-grad/all7/adapter/adapter_config.json"));
  json.update(patch);
  core::write_json_file(directory / "adapter_config.json", json);
  return support::message_of([&] { read_adapter_config(directory.path()); });
}

}  // namespace

TEST(Adapter, ReadsWhatPeftWrote) {
  const AdapterConfig all7 = read_adapter_config(golden("lora-grad/all7/adapter"));
  EXPECT_EQ(all7.base_model_name_or_path, "llama-tiny");
  EXPECT_EQ(all7.lora.r, 8);
  EXPECT_EQ(all7.lora.lora_alpha, 16);
  EXPECT_EQ(all7.lora.target_modules.size(), kNumProjections);
  EXPECT_FALSE(all7.lora.use_rslora);
  EXPECT_TRUE(read_adapter_config(golden("lora-grad/rslora/adapter")).lora.use_rslora);
  EXPECT_EQ(read_adapter_config(golden("lora-grad/qv/adapter")).lora.target_modules,
            (std::vector<std::string>{"q_proj", "v_proj"}));

  const LoraStore store = load(golden("lora-grad/all7/adapter"));
  const SafetensorsFile file(golden("lora-grad/all7/adapter/adapter_model.safetensors"));
  ASSERT_EQ(store.entries().size(), file.names().size());
  for (const LoraEntry& entry : store.entries()) {
    EXPECT_TRUE(at::equal(LoraStore::view_of(store.parameters(), entry), file.tensor(entry.name))) << entry.name;
  }
  const LoraStore half = load(golden("lora-grad/qv/adapter"), at::kBFloat16);  // the compute copy follows
  EXPECT_TRUE(at::equal(half.group(1, LoraGroupKind::qkv).b[1],
                        testing::golden_tensors("lora-grad/qv/adapter/adapter_model.safetensors")
                            .tensor("base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight")
                            .to(at::kBFloat16)));
}

// peft-roundtrip: made by PEFT with tests/peer/peft_roundtrip.py, with settings that the others leave at their
// defaults.
TEST(Adapter, WritesPeftsBytes) {
  const support::TemporaryDirectory directory;
  for (const fs::path& adapter : {golden("lora-grad/all7/adapter"), golden("lora-grad/rslora/adapter"),
                                  golden("lora-grad/qv/adapter"), testing::fixture("lora-forms/patterns"),
                                  testing::fixture("lora-forms/regex"), testing::fixture("lora-forms/dora"),
                                  testing::fixture("lora-forms/dora-rslora"), testing::fixture("peft-roundtrip")}) {
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kDouble}) {  // float32 masters lose nothing
      save_adapter(directory.path(), load(adapter, dtype), {"llama-tiny"});
      EXPECT_TRUE(core::read_file(directory / "adapter_model.safetensors") ==
                  core::read_file(adapter / "adapter_model.safetensors"))
          << adapter;
      EXPECT_EQ(core::read_json_file(directory / "adapter_config.json"),
                core::read_json_file(adapter / "adapter_config.json"));
    }
  }
  EXPECT_EQ(core::read_file(directory / "adapter_config.json"),
            core::read_file(testing::fixture("peft-roundtrip/adapter_config.json")));
}

// Values up to 5; the limit for float32 against float32 of tests/fixtures/golden: measured 1e-5, limit 1e-4.
TEST(Adapter, GivesPeftsLogits) {
  const fs::path adapter = testing::fixture("peft-roundtrip");
  const BaseModel base = load_base_model(golden("llama-tiny").string(), "auto");
  LoraStore store = load(adapter);
  Decoder decoder(base.config, base.weights, &store);
  const SafetensorsFile expected(adapter / "logits.safetensors");
  const at::Tensor ids = expected.tensor("input_ids");
  const auto* data = ids.const_data_ptr<std::int64_t>();
  const std::vector<std::int32_t> tokens(data, data + ids.numel());
  PackedBatchBuilder builder;
  builder.add_example(tokens, 0);
  EXPECT_TRUE(
      testing::near(decoder.logits(builder.build()), expected.tensor("logits").narrow(0, 0, ids.numel() - 1), 1e-4));
}

TEST(Adapter, RefusesByNameWhatItDoesNotSupport) {
  const std::vector<std::pair<Json, std::string>> refusals{
      {{{"peft_type", "IA3"}}, "peft_type"},
      {{{"use_dora", "yes"}}, "use_dora"},
      {{{"bias", "lora_only"}}, "bias"},
      {{{"lora_bias", true}}, "lora_bias"},
      {{{"fan_in_fan_out", true}}, "fan_in_fan_out"},
      {{{"rank_pattern", {{"q_proj", 0}}}}, "rank_pattern: q_proj = 0"},
      {{{"rank_pattern", {{"q_proj", 1.5}}}}, "rank_pattern: q_proj = 1.5"},
      {{{"rank_pattern", {{"(q_proj", 4}}}}, "(q_proj"},
      {{{"rank_pattern", {{"\\Aq_proj", 4}}}}, "\\A"},
      {{{"alpha_pattern", {{"q_proj", "4"}}}}, "alpha_pattern: q_proj"},
      {{{"alpha_pattern", {{"q_proj", -4}}}}, "alpha_pattern: q_proj = -4"},
      {{{"modules_to_save", {"lm_head"}}}, "modules_to_save"},
      {{{"layers_to_transform", {-1}}}, "layers_to_transform"},
      {{{"layers_to_transform", {0}}, {"target_modules", ".*q_proj"}}, "layers_to_transform"},
      {{{"layers_pattern", {"layers"}}}, "layers_pattern"},
      {{{"target_parameters", {"x"}}}, "target_parameters"},
      {{{"trainable_token_indices", {1}}}, "trainable_token_indices"},
      {{{"exclude_modules", "o_proj"}}, "exclude_modules"},  // a regular expression that no path matches
      {{{"something_new", 1}}, "something_new"},
      {{{"init_lora_weights", "pissa"}}, "init_lora_weights"},
      {{{"init_lora_weights", "olora"}}, "init_lora_weights"},
      {{{"r", 0}}, "lora_r = 0"},
      {{{"r", 2.5}}, "r = 2.5"},
      {{{"r", 1e300}}, "r = 1e+300"},
      {{{"r", 65537}}, "lora_r = 65537: expected a whole number, 1 to 65536"},
      {{{"rank_pattern", {{"q_proj", 1000000}}}}, "rank_pattern: q_proj = 1000000"},
      {{{"lora_alpha", 1e308}}, "lora_alpha = 1e+308"},
      {{{"layers_to_transform", {1e300}}}, "layers_to_transform = 1e+300"},
      {{{"lora_alpha", "16"}}, "lora_alpha"},
      {{{"target_modules", "q_proj"}}, "regular expression"},
      {{{"target_modules", {"q_proj", ".*v_proj"}}}, "regular expression"},
      {{{"target_modules", "(?<name>q_proj)"}}, "(?<"},
      {{{"target_modules", nullptr}}, "target_modules"},
      {{{"target_modules", {"q_proj", "lm_head"}}}, "lm_head"},
      {{{"target_modules", {"model.layers.x.mlp.up_proj"}}}, "model.layers.x"},
  };
  for (const auto& [patch, key] : refusals) {
    const std::string message = patched_refusal(patch);
    EXPECT_NE(message.find(key), std::string::npos) << patch << " gave: " << message;
    EXPECT_NE(message.find("adapter_config.json"), std::string::npos) << message;
  }
}

// 65,536 ranks of this file's projections would take hundreds of MB: it is refused from the header.
TEST(Adapter, RanksAreComparedWithTheFileBeforeAnythingIsAllocated) {
  const ModelConfig model = read_model_config(golden("llama-tiny"));
  const fs::path directory = golden("lora-grad/qv/adapter");
  LoraConfig config = read_adapter_config(directory).lora;
  EXPECT_NO_THROW(check_adapter(directory, model, config));
  config.r = 65536;
  const std::string message = support::message_of([&] { check_adapter(directory, model, config); });
  EXPECT_NE(message.find("expected floating-point values [65536, "), std::string::npos) << message;
  config.r = 8;
  config.rank_pattern = {{"v_proj", 65536}};
  EXPECT_NE(support::message_of([&] { check_adapter(directory, model, config); }).find("v_proj"), std::string::npos);
}

TEST(Adapter, RefusesWrongTensorsAndThenChangesNothing) {
  const fs::path source = golden("lora-grad/qv/adapter");
  const support::TemporaryDirectory directory;
  LoraStore store(read_model_config(golden("llama-tiny")), read_adapter_config(source).lora, at::kFloat, 5);
  const at::Tensor before = store.parameters().clone();
  const SafetensorsFile file(source / "adapter_model.safetensors");
  const std::string name = "base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight";
  const auto refusal_with = [&](auto change) {
    std::map<std::string, at::Tensor> tensors;
    for (const std::string& key : file.names()) tensors.emplace(key, file.tensor(key));
    change(tensors);
    std::vector<NamedTensor> list;
    for (const auto& [key, tensor] : tensors) list.push_back({key, tensor});
    write_safetensors(directory / "adapter_model.safetensors", list);
    const std::string message = support::message_of([&] { load_adapter(directory.path(), store); });
    EXPECT_TRUE(at::equal(store.parameters(), before));
    return message;
  };
  EXPECT_NE(refusal_with([&](auto& tensors) { tensors.erase(name); }).find("lacks " + name), std::string::npos);
  EXPECT_NE(refusal_with([&](auto& tensors) { tensors["extra"] = at::zeros({1}); }).find("unexpected tensor extra"),
            std::string::npos);
  EXPECT_NE(refusal_with([&](auto& tensors) {
              tensors[name] = at::zeros({8, 32});
            }).find(name + " is Float [8, 32]"),
            std::string::npos);
  EXPECT_NE(refusal_with([&](auto& tensors) {
              tensors[name] = at::zeros({32, 8}, at::kInt);
            }).find(name),
            std::string::npos);
}

}  // namespace allreco::model
