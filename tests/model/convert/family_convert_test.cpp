// quantize and export of every family: what is written has the family's own names and keys, and computes the same.
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "core/files.h"
#include "core/random.h"
#include "model/convert/export.h"
#include "model/convert/quantize.h"
#include "model/decoder/decoder.h"
#include "model/golden.h"
#include "model/lora/adapter.h"
#include "support/temporary_directory.h"

namespace allreco::model {
namespace {

namespace fs = std::filesystem;
using core::Json;
using testing::golden;

struct ConvertCase {
  std::string model, config_file;
};

std::vector<ConvertCase> convert_cases() {
  std::vector<ConvertCase> cases;
  for (const char* model : {"llama3rope-tiny", "llama-bias-tiny", "mistral-tiny", "qwen2-tiny", "qwen2.5-tiny",
                            "qwen3-tiny", "smollm3-tiny", "gemma3-tiny", "gemma3-scaled-tiny"})
    for (const char* file : {"config.json", "config.v4.json"}) cases.push_back({model, file});
  return cases;
}

/// A golden model with one of its configs.
class FamilyConvertTest : public ::testing::TestWithParam<ConvertCase> {
 protected:
  FamilyConvertTest() {
    const fs::path source = golden(GetParam().model);
    fs::create_directory(directory_ / "base");
    fs::copy_file(source / GetParam().config_file, directory_ / "base/config.json");
    fs::copy_file(source / "model.safetensors", directory_ / "base/model.safetensors");
  }
  std::string base() const { return (directory_ / "base").string(); }
  Json config_of(const std::string& directory) const {
    return core::read_json_file(fs::path(directory) / "config.json");
  }

  support::TemporaryDirectory directory_;
};
INSTANTIATE_TEST_SUITE_P(Families, FamilyConvertTest, ::testing::ValuesIn(convert_cases()), [](const auto& tested) {
  std::string name = tested.param.model + (tested.param.config_file == "config.json" ? "_v5" : "_v4");
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '-' || c == '.'; }, '_');
  return name;
});

/// Logits of 24 tokens, more than every window of the fixtures.
at::Tensor logits_of(const BaseModel& base, LoraStore* lora = nullptr) {
  Decoder decoder(base.config, base.weights, lora);
  std::vector<std::int32_t> tokens;
  for (int i = 0; i < 25; ++i) tokens.push_back((i * 37 + 5) % 200);
  PackedBatchBuilder builder;
  builder.add_example(tokens, 0);
  return decoder.logits(builder.build());
}

TEST_P(FamilyConvertTest, ExportedItHasItsOwnNamesAndKeysAndComputesAsBaseAndAdapter) {
  const BaseModel model = load_base_model(base(), "auto");
  LoraConfig lora;
  lora.r = 2;
  LoraStore store(model.config, lora, at::kFloat, 1);
  core::RandomStream stream(2);
  auto* p = store.parameters().data_ptr<float>();
  for (std::int64_t i = 0; i < store.num_parameters(); ++i) p[i] = static_cast<float>(0.1 * stream.next_normal());
  store.refresh_compute_copy();
  fs::create_directory(directory_ / "adapter");
  save_adapter(directory_ / "adapter", store, {base()});
  ExportJob job;
  job.model_name_or_path = base();
  job.adapter_name_or_path = (directory_ / "adapter").string();
  job.output_dir = (directory_ / "merged").string();
  EXPECT_EQ(export_merged(job).num_merged, 7 * model.config.num_hidden_layers);

  EXPECT_EQ(config_of(job.output_dir), config_of(base()));
  const Checkpoint written(job.output_dir), original(base());
  EXPECT_EQ(written.names(), original.names());
  for (const std::string& name : original.names()) {
    const bool is_merged = name.find("_proj.weight") != std::string::npos;
    EXPECT_EQ(at::equal(written.tensor(name), original.tensor(name)), !is_merged) << name;
  }
  const BaseModel merged = load_base_model(job.output_dir, "auto");
  const at::Tensor expected = logits_of(model, &store);
  EXPECT_TRUE(testing::near(logits_of(merged), expected, 1e-4));  // golden's, for two float32 programs
  EXPECT_FALSE(testing::near(logits_of(model), expected, 1e-2)) << "the adapter does nothing";
}

TEST_P(FamilyConvertTest, QuantisedItHasItsOwnNamesAndKeysAndComputesAsQuantisedInMemory) {
  QuantizeJob job;
  job.model_name_or_path = base();
  job.output_dir = (directory_ / "nf4").string();
  job.quantization.bnb_4bit_use_double_quant = true;
  quantize(job);

  Json config = config_of(job.output_dir);
  EXPECT_EQ(config["quantization_config"]["quant_method"], "bitsandbytes");
  config.erase("quantization_config");
  EXPECT_EQ(config, config_of(base()));
  const Checkpoint written(job.output_dir), original(base());
  for (const std::string& name : original.names()) {
    const bool is_quantized = name.find("_proj.weight") != std::string::npos;
    EXPECT_EQ(written.contains(name + ".quant_state.bitsandbytes__nf4"), is_quantized) << name;
    ASSERT_TRUE(written.contains(name));
    EXPECT_NE(is_quantized, written.shape_of(name) == original.shape_of(name) &&
                                at::equal(written.tensor(name), original.tensor(name)))
        << name;
  }
  Quantization in_memory = job.quantization;
  in_memory.load_in_4bit = true;
  const at::Tensor expected = logits_of(load_base_model(base(), "auto", at::kCPU, in_memory));
  EXPECT_TRUE(at::equal(logits_of(load_base_model(job.output_dir, "auto")), expected));
  EXPECT_FALSE(testing::near(logits_of(load_base_model(base(), "auto")), expected, 1e-2)) << "quantised nothing";
}

}  // namespace
}  // namespace allreco::model
