#include "model/lora/adapter_targets.h"

#include <gtest/gtest.h>

#include <map>

#include "core/files.h"
#include "model/golden.h"
#include "model/lora/adapter_config.h"
#include "model/lora/lora.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::model {
using core::Json;

namespace {

ModelConfig llama_tiny() { return read_model_config(testing::golden("llama-tiny")); }

/// Options as adapter_config.json has them, on top of r = 2, lora_alpha = 6.
LoraConfig config_of(const Json& options) {
  const support::TemporaryDirectory directory;
  Json json{{"peft_type", "LORA"}, {"r", 2}, {"lora_alpha", 6}};
  json.update(options);
  core::write_json_file(directory / "adapter_config.json", json);
  return read_adapter_config(directory.path()).lora;
}

std::string refusal(const Json& options) {
  return support::message_of([&] { resolve_targets(config_of(options), llama_tiny()); });
}

}  // namespace

// targets.json: what PEFT itself targets, by tests/fixtures/lora-forms/make_lora_forms.py.
TEST(AdapterTargets, AreThoseOfPeft) {
  const Json cases = core::read_json_file(testing::fixture("lora-forms/targets.json"));
  ASSERT_EQ(cases.size(), 11u);
  for (const Json& tested : cases) {
    const auto layers = resolve_targets(config_of(tested["options"]), llama_tiny());
    ASSERT_EQ(layers.size(), 3u);
    size_t found = 0;
    for (size_t layer = 0; layer < layers.size(); ++layer) {
      for (const Projection p : kProjections) {
        const auto& target = layers[layer][index_of(p)];
        if (!target) continue;
        const std::string module = fmt::format("model.layers.{}.{}", layer, module_path_of(p));
        ++found;
        ASSERT_TRUE(tested["modules"].contains(module)) << module << " of " << tested["options"];
        EXPECT_EQ(target->r, tested["modules"][module][0].get<std::int64_t>()) << module << " of " << tested["options"];
        EXPECT_DOUBLE_EQ(target->scaling, tested["modules"][module][1].get<double>()) << module;
      }
    }
    EXPECT_EQ(found, tested["modules"].size()) << tested["options"];
  }
}

TEST(AdapterTargets, RefusalsSayWhatDoesNotFit) {
  const std::vector<std::pair<Json, std::string>> refusals{
      {{{"target_modules", ".*"}}, "lm_head"},
      {{{"target_modules", ".*proj|lm_head"}}, "lm_head"},
      {{{"target_modules", "model\\.layers\\.1\\.(mlp|self_attn)"}}, "model.layers.1.self_attn"},
      {{{"target_modules", "nothing.*"}}, "leaves no projection"},
      {{{"target_modules", {"model.layers.3.mlp.up_proj"}}}, "model.layers.3.mlp.up_proj"},
      {{{"target_modules", {"q_proj"}}, {"exclude_modules", {"q_proj"}}}, "exclude_modules"},
      {{{"target_modules", {"q_proj"}}, {"layers_to_transform", {1, 3}}}, "no layer 3"},
      {{{"target_modules", {"q_proj"}}, {"layers_to_transform", {1}}, {"layers_pattern", {"blocks"}}}, "leaves no"},
      {{{"target_modules", {"q_proj"}}, {"rank_pattern", {{"k_proj", 4}}}}, "k_proj"},
      {{{"target_modules", {"q_proj"}}, {"alpha_pattern", {{"proj", 4}}}}, "proj"},
      // PEFT takes the first that matches, and another one after it has sorted them for the file.
      {{{"target_modules", {"q_proj"}}, {"rank_pattern", {{"q_proj", 4}, {"1\\..*q_proj", 9}}}}, "overlap"},
  };
  for (const auto& [options, expected] : refusals) {
    const std::string message = refusal(options);
    EXPECT_NE(message.find(expected), std::string::npos) << options << " gave: " << message;
  }
}

TEST(AdapterTargets, BackwardStopsAtTheLowestLayerWithFactors) {
  const ModelConfig model = llama_tiny();
  const auto first = [&](const Json& options) {
    return LoraStore(model, config_of(options), at::kFloat, 1).first_layer_with_lora();
  };
  EXPECT_EQ(first({{"target_modules", {"q_proj"}}}), 0);
  EXPECT_EQ(first({{"target_modules", {"q_proj"}}, {"layers_to_transform", {2, 1}}}), 1);
  EXPECT_EQ(first({{"target_modules", {"2.mlp.up_proj"}}}), 2);
}

}  // namespace allreco::model
