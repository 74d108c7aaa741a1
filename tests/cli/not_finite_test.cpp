// NaN and infinity: never saved, never taken for a result, from outside.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <limits>

#include "cli/program.h"
#include "core/files.h"
#include "core/json.h"

namespace allreco::cli {
namespace {

using namespace testing;
namespace fs = std::filesystem;

class NotFinite : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string row = R"({"input_ids": [5, 9, 17, 33, 65], "labels": [-100, 9, 17, 33, 65]})";
    core::write_file_atomically(scratch_ / "rows.jsonl", token_rows(32, row));
    const auto prepared = run_program(
        0, "prepare --tokens " + (scratch_ / "rows.jsonl") + " --vocab_size 512 --output_dir " + (scratch_ / "DS"));
    ASSERT_EQ(prepared.exit_code, 0) << prepared.output;
  }
  std::string train(const std::string& options) const {
    return fmt::format("train --model_name_or_path {} --dataset {} --output_dir {} --global_batch_size 8 {}", base_,
                       scratch_ / "DS", out_, options);
  }
  static void expect_end(const Outcome& outcome, int exit_code, const std::string& said) {
    EXPECT_EQ(outcome.exit_code, exit_code) << outcome.output;
    EXPECT_NE(outcome.output.find(said), std::string::npos) << outcome.output;
  }
  /// Puts `value` in place of the first element of a float32 tensor in a safetensors file.
  static void damage(const std::string& path, const std::string& tensor, float value) {
    std::string bytes = core::read_file(path);
    std::uint64_t header_bytes = 0;
    std::memcpy(&header_bytes, bytes.data(), sizeof header_bytes);
    const core::Json header = core::Json::parse(bytes.substr(8, header_bytes));
    ASSERT_EQ(header.at(tensor).at("dtype"), "F32");
    std::memcpy(bytes.data() + 8 + header_bytes + header.at(tensor).at("data_offsets")[0].get<std::uint64_t>(), &value,
                sizeof value);
    core::write_file_atomically(path, bytes);
  }
  /// The base with a damaged weight.
  std::string damaged_base() const {
    const std::string copy = scratch_ / "BASE";
    fs::copy(base_, copy, fs::copy_options::recursive);
    damage(copy + "/model.safetensors", "model.norm.weight", std::numeric_limits<float>::quiet_NaN());
    return copy;
  }

  const std::string base_ = source("examples/stories260k").string();
  Scratch scratch_;
  const std::string out_ = scratch_ / "OUT";
};

TEST_F(NotFinite, ParametersThatAreNotFiniteAreNeverSaved) {
  for (const int ranks : {0, 2}) {
    for (const std::string& rate : {std::string("1e38"), std::string("1e39")}) {
      for (const int steps : {1, 20}) {
        const auto outcome = run_program(
            ranks, train(fmt::format("--learning_rate {} --max_steps {} --save_steps 1 --lr_scheduler_type constant",
                                     rate, steps)));
        if (outcome.exit_code == 0) {  // what was saved is finite, then, and goes on
          const auto next =
              run_program(ranks, train(fmt::format("--learning_rate 1e-3 --max_steps 1 --adapter_name_or_path {0} "
                                                   "--output_dir {0}-next",
                                                   out_)));
          EXPECT_EQ(next.output.find("holds NaN or infinity"), std::string::npos) << next.output;
          ADD_FAILURE() << "learning_rate " << rate << ", " << steps << " steps: " << outcome.output;
        }
        EXPECT_EQ(outcome.exit_code, 1) << outcome.output;
        EXPECT_NE(outcome.output.find("step "), std::string::npos) << outcome.output;
        EXPECT_NE(outcome.output.find("lower learning_rate"), std::string::npos) << outcome.output;
        EXPECT_FALSE(fs::exists(out_ + "/adapter_model.safetensors")) << rate << " " << steps;
        fs::remove_all(out_);
      }
    }
  }
}

TEST_F(NotFinite, AnAdapterIsRefusedByTheTensorsName) {
  ASSERT_EQ(run_program(0, train("--learning_rate 1e-3 --max_steps 2 --save_steps 2")).exit_code, 0);
  const std::string tensor = "base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight";
  damage(out_ + "/adapter_model.safetensors", tensor, std::numeric_limits<float>::infinity());
  const std::string adapter = " --adapter_name_or_path " + out_ + " --output_dir " + (scratch_ / "NEW");
  for (const std::string& command :
       {"evaluate --model_name_or_path " + base_ + " --split train --dataset " + (scratch_ / "DS") + adapter,
        "export --model_name_or_path " + base_ + adapter,
        "train --max_steps 1 --model_name_or_path " + base_ + " --dataset " + (scratch_ / "DS") + adapter}) {
    expect_end(run_program(0, command), 2, tensor + " holds NaN or infinity");
    EXPECT_FALSE(fs::exists(scratch_ / "NEW")) << command;
  }
}

// Shorter than max_skipped_steps: once it ended well, with the adapter that it had begun with.
TEST_F(NotFinite, ARunThatSkippedAllItsStepsIsNotDone) {
  const auto outcome = run_program(
      0, fmt::format("train --model_name_or_path {} --dataset {} --output_dir {} --max_steps 2 --save_strategy no",
                     damaged_base(), scratch_ / "DS", out_));
  expect_end(outcome, 1, "all 2 steps were skipped, so nothing was learnt");
  EXPECT_FALSE(fs::exists(out_ + "/adapter_model.safetensors"));
  EXPECT_FALSE(fs::exists(out_ + "/train_results.json"));
}

TEST_F(NotFinite, AModelIsNotQuantised) {
  expect_end(run_program(0, "quantize --model_name_or_path " + damaged_base() + " --output_dir " + (scratch_ / "NF4")),
             2, "model.norm.weight of " + (scratch_ / "BASE") + " holds NaN or infinity");
  EXPECT_FALSE(fs::exists(scratch_ / "NF4"));
}

TEST_F(NotFinite, AnEvaluationNamesTheFirstExample) {
  for (const int ranks : {0, 2}) {
    expect_end(
        run_program(ranks, fmt::format("evaluate --model_name_or_path {} --dataset {} --split train --output_dir {}",
                                       ranks == 0 ? damaged_base() : scratch_ / "BASE", scratch_ / "DS", out_)),
        1, "the loss of example 0 of the split train is not finite");
    EXPECT_FALSE(fs::exists(out_));
  }
}

}  // namespace
}  // namespace allreco::cli
