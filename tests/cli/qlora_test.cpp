// Training over 4 bits, quantize and export through the program.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "cli/program.h"
#include "core/files.h"
#include "core/json.h"

namespace allreco::cli {
namespace {

using namespace testing;
namespace fs = std::filesystem;

class Qlora : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string rows;
    for (int i = 0; i < 48; ++i) {
      core::Json ids = core::Json::array(), labels = core::Json::array();
      for (int t = 0; t < 24 + i % 5; ++t) {
        ids.push_back(3 + (i * 31 + t * 17) % 500);
        labels.push_back(t < 12 ? core::Json(-100) : ids.back());
      }
      rows += core::Json{{"input_ids", ids}, {"labels", labels}}.dump() + "\n";
    }
    core::write_file_atomically(scratch_ / "rows.jsonl", rows);
    succeed(0, "prepare --tokens " + (scratch_ / "rows.jsonl") + " --vocab_size 512 --output_dir " + (scratch_ / "DS"));
  }

  std::string succeed(int ranks, const std::string& command) const {
    const auto outcome = run_program(ranks, command);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
    return outcome.output;
  }
  void train(int ranks, const std::string& model, const std::string& out, const std::string& options) const {
    succeed(ranks, fmt::format("train --model_name_or_path {} --dataset {} --output_dir {} --max_steps 4 "
                               "--save_strategy no --deterministic true --global_batch_size 8 --learning_rate 0.01 {}",
                               model, scratch_ / "DS", scratch_ / out, options));
  }
  std::string adapter(const std::string& out) const {
    return core::read_file(scratch_ / (out + "/adapter_model.safetensors"));
  }
  double loss(const std::string& model, const std::string& options) const {
    succeed(0, fmt::format("evaluate --model_name_or_path {} --dataset {} --split train --generate false "
                           "--overwrite_output_dir true --output_dir {} {}",
                           model, scratch_ / "DS", scratch_ / "EVAL", options));
    return core::read_json_file(scratch_ / "EVAL/evaluation.json").at("loss").at("mean_nll").get<double>();
  }

  const std::string base_ = source("examples/stories260k").string();
  const std::string four_bits_ = "--load_in_4bit true --bnb_4bit_use_double_quant true";
  Scratch scratch_;
};

TEST_F(Qlora, TheSameBitsOnAnyRanksWaysOfLoadingAndFromTheQuantisedDirectory) {
  train(0, base_, "ONE", four_bits_);
  train(2, base_, "TWO", four_bits_);
  train(2, base_, "BROADCAST", four_bits_ + " --model_loading broadcast");
  succeed(0, "quantize --model_name_or_path " + base_ + " --output_dir " + (scratch_ / "NF4"));
  train(2, scratch_ / "NF4", "PREQUANTISED", "");
  train(2, scratch_ / "NF4", "PREQUANTISED_BROADCAST", "--model_loading broadcast");
  train(0, base_, "DENSE", "");
  for (const char* other : {"TWO", "BROADCAST", "PREQUANTISED", "PREQUANTISED_BROADCAST"})
    EXPECT_TRUE(adapter("ONE") == adapter(other)) << other;
  EXPECT_FALSE(adapter("ONE") == adapter("DENSE"));
}

TEST_F(Qlora, AnExportedModelEvaluatesAsBaseAndAdapterDo) {
  for (const std::string& options : {std::string(), four_bits_}) {
    const std::string out = options.empty() ? "DENSE" : "NF4", merged = scratch_ / ("MERGED_" + out);
    train(0, base_, out, options + " --use_dora true --lora_alpha 32");
    const std::string adapter = " --adapter_name_or_path " + (scratch_ / out) + " ";
    const std::string said =
        succeed(0, "export --model_name_or_path " + base_ + adapter + options + " --output_dir " + merged);
    const bool warned = said.find("its logits differ from base + adapter by") != std::string::npos;
    EXPECT_EQ(warned, !options.empty()) << said;
    const double expected = loss(base_, adapter + options);
    EXPECT_NEAR(loss(merged, ""), expected, 1e-5);
    EXPECT_GT(std::abs(loss(base_, options) - expected), 1e-3) << "the adapter does nothing";
    EXPECT_TRUE(fs::exists(merged + "/tokenizer.model"));
    EXPECT_NE(core::read_file(merged + "/README.md").find("learning_rate = 0.01"), std::string::npos);
  }
}

// Wherever the adapter is copied to, and whoever keeps the state beside it.
TEST_F(Qlora, MergingIntoABaseThatIsKeptInAnotherWayWarns) {
  const std::string warning = "the adapter was trained over a base kept as ";
  const auto exported = [&](const std::string& model, const std::string& adapter, const std::string& options) {
    fs::remove_all(scratch_ / "MERGED");
    return succeed(0, fmt::format("export --model_name_or_path {} --adapter_name_or_path {} --output_dir {} {}", model,
                                  adapter, scratch_ / "MERGED", options));
  };
  train(0, base_, "NF4", four_bits_);
  train(0, base_, "DENSE", "");
  const std::string nf4 = "nf4 with double quantisation, products in float32";
  const std::string copy = scratch_ / "COPY";
  fs::create_directory(copy);
  for (const char* name : {"adapter_model.safetensors", "adapter_config.json"})
    fs::copy_file(scratch_ / (std::string("NF4/") + name), copy + "/" + name);
  for (const std::string& adapter : {scratch_ / "NF4", copy}) {
    EXPECT_NE(exported(base_, adapter, "").find(warning + nf4 + ", and was merged into one that is dense"),
              std::string::npos);
    EXPECT_EQ(exported(base_, adapter, four_bits_).find(warning), std::string::npos);
    EXPECT_NE(exported(base_, adapter, "--load_in_4bit true").find(warning), std::string::npos)
        << "without double quantisation";
  }
  EXPECT_NE(
      exported(base_, scratch_ / "DENSE", four_bits_).find(warning + "dense, and was merged into one that is " + nf4),
      std::string::npos);
  EXPECT_EQ(exported(base_, scratch_ / "DENSE", "").find(warning), std::string::npos);
}

// PEFT writes nothing of it: its adapter's own base may tell, or a trainer_state.json beside it.
TEST_F(Qlora, OfAnAdapterThatDoesNotSayHowItsBaseWasKeptOtherFilesTell) {
  const std::string adapter = scratch_ / "PEFT", base = golden("llama-tiny").string();
  fs::copy(golden("lora-grad/all7/adapter"), adapter);
  const auto exported = [&] {
    fs::remove_all(scratch_ / "MERGED");
    return succeed(0, fmt::format("export --model_name_or_path {} --adapter_name_or_path {} --output_dir {}", base,
                                  adapter, scratch_ / "MERGED"));
  };
  EXPECT_NE(exported().find("nothing in " + adapter + " says how the base was kept in training"), std::string::npos);

  core::Json config = core::read_json_file(adapter + "/adapter_config.json");
  config["base_model_name_or_path"] = golden("llama-tiny-nf4").string();
  core::write_json_file(adapter + "/adapter_config.json", config);
  EXPECT_NE(exported().find("trained over a base kept as nf4, and was merged into one that is dense"),
            std::string::npos);

  const core::Json state{{"identity", {{"base_model_storage", "nf4, products in bfloat16"}}}};
  fs::create_directory(adapter + "/last");
  core::write_json_file(adapter + "/last/trainer_state.json", state);
  EXPECT_NE(exported().find("trained over a base kept as nf4, products in bfloat16"), std::string::npos);
}

TEST_F(Qlora, WhatCannotBeIsRefusedAndLeavesNothing) {
  const auto refused = [&](const std::string& command, const std::string& word) {
    const auto outcome = run_program(0, command);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.output;
    EXPECT_NE(outcome.output.find(word), std::string::npos) << outcome.output;
    EXPECT_FALSE(fs::exists(scratch_ / "NEW"));
  };
  const std::string to_new = " --output_dir " + (scratch_ / "NEW");
  refused("quantize --model_name_or_path random:stories260k" + to_new, "expected a directory");
  refused("quantize --model_name_or_path " + base_ + to_new + " --max_shard_size 5XB", "max_shard_size = 5XB");
  refused("quantize --model_name_or_path " + source("tests/fixtures/golden/llama-tiny-nf4").string() + to_new,
          "NF4 already");
  refused("export --model_name_or_path " + base_ + to_new + " --adapter_name_or_path " +
              source("tests/fixtures/golden/lora-grad/all7/adapter").string(),
          "lora_A");
}

}  // namespace
}  // namespace allreco::cli
