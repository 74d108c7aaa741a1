// What export writes against PEFT's merge_and_unload (golden/merged). The tolerances are the generator's: 1e-6 for
// weights, 1e-4 for logits, in float32.
#include "model/convert/export.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty_like.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "model/decoder/decoder.h"
#include "model/decoder/weights.h"
#include "model/golden.h"
#include "support/temporary_directory.h"

namespace allreco::model {
namespace {

using testing::golden;
using testing::golden_tensors;
using testing::near;

TEST(Export, WeightsAndLogitsEqualPeftsMerged) {
  const support::TemporaryDirectory directory;
  ExportJob job;
  job.model_name_or_path = golden("llama-tiny").string();
  job.adapter_name_or_path = golden("lora-grad/all7/adapter").string();
  job.output_dir = directory / "merged";
  job.max_shard_size = "300KB";
  const ExportReport report = export_merged(job);
  EXPECT_EQ(report.num_merged, 21);
  EXPECT_LT(report.rms_merge_difference, 1e-5 * report.rms_logit);

  const SafetensorsFile expected = golden_tensors("merged/merged.safetensors");
  const Checkpoint written(job.output_dir);
  for (const std::string& name : expected.names()) {
    if (!name.starts_with("merged.")) continue;
    EXPECT_TRUE(near(written.tensor(name.substr(7)), expected.tensor(name), 1e-6)) << name;
  }
  const BaseModel merged = load_base_model(job.output_dir, "auto");
  Decoder decoder(merged.config, merged.weights, nullptr);
  for (int i = 0; i < 3; ++i) {
    const std::string seq = "seq" + std::to_string(i) + ".";
    const at::Tensor ids = expected.tensor(seq + "input_ids");
    const auto* first = ids.const_data_ptr<std::int64_t>();
    std::vector<std::int32_t> tokens(first, first + ids.numel());
    tokens.push_back(0);  // so that the last position predicts something
    PackedBatchBuilder builder;
    builder.add_example(tokens, 0);
    EXPECT_TRUE(near(decoder.logits(builder.build()), expected.tensor(seq + "logits_merged"), 1e-4)) << seq;
  }
}

// Five projections of a layer have no factors: their weights may not be those of another one by the time they are
// compared.
TEST(Export, OverFourBitsWhatIsWrittenIsWhatIsCompared) {
  const support::TemporaryDirectory directory;
  ExportJob job;
  job.model_name_or_path = golden("llama-tiny-nf4").string();
  job.adapter_name_or_path = golden("lora-grad/qv/adapter").string();
  job.output_dir = directory / "merged";
  const ExportReport report = export_merged(job);
  EXPECT_TRUE(report.base_was_quantized);
  EXPECT_EQ(report.num_merged, 6);
  EXPECT_LT(report.rms_written_difference, 1e-5 * report.rms_logit);
}

/// Quantised in bfloat16, multiplied in `compute_dtype`: the weights of training's forward are merged, whatever was
/// quantised.
class ExportOverFourBits : public ::testing::TestWithParam<std::string> {};

TEST_P(ExportOverFourBits, MergesTheWeightsThatTrainingMultipliedWith) {
  const support::TemporaryDirectory directory;
  ExportJob job;
  job.model_name_or_path = golden("llama-tiny").string();
  job.adapter_name_or_path = golden("lora-grad/all7/adapter").string();
  job.output_dir = directory / "merged";
  job.dtype = "bfloat16";
  job.export_dtype = "float32";
  job.quantization.load_in_4bit = true;
  job.quantization.bnb_4bit_compute_dtype = GetParam();
  EXPECT_LT(export_merged(job).rms_merge_difference, 1e-5);  // float32's rounding, of logits about 1

  const std::string name = "model.layers.0.self_attn.q_proj.weight";
  const at::Tensor dense = Checkpoint(job.model_name_or_path).tensor(name);
  const ops::Nf4Tensor nf4 = ops::nf4_quantize(dense.to(at::kBFloat16), 64, /*nested=*/false);
  at::Tensor base = at::empty_like(dense);
  ops::nf4_dequantize(nf4, base, GetParam() == "float32" ? at::kFloat : at::kBFloat16);
  const SafetensorsFile adapter(std::filesystem::path(job.adapter_name_or_path) / "adapter_model.safetensors");
  const auto factor = [&](const std::string& which) {
    return adapter.tensor("base_model.model.model.layers.0.self_attn.q_proj.lora_" + which + ".weight");
  };
  constexpr double scaling = 2;  // lora_alpha 16, r 8
  EXPECT_TRUE(near(Checkpoint(job.output_dir).tensor(name), base + factor("B").mm(factor("A")) * scaling, 1e-6));
}

INSTANTIATE_TEST_SUITE_P(Products, ExportOverFourBits, ::testing::Values("float32", "bfloat16"),
                         [](const auto& tested) { return tested.param; });

}  // namespace
}  // namespace allreco::model
