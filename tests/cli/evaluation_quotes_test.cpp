// evaluation.json says what it is of, and export's model card quotes it for nothing else.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "cli/program.h"
#include "core/files.h"
#include "core/json.h"

namespace allreco::cli {
namespace {

using namespace testing;
namespace fs = std::filesystem;

class EvaluationQuotes : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string rows;
    for (int i = 0; i < 32; ++i) {
      core::Json ids = core::Json::array(), labels = core::Json::array();
      for (int t = 0; t < 16; ++t) {
        ids.push_back(3 + (i * 31 + t * 17) % 500);
        labels.push_back(t < 8 ? core::Json(-100) : ids.back());
      }
      rows += core::Json{{"input_ids", ids}, {"labels", labels}}.dump() + "\n";
    }
    core::write_file_atomically(scratch_ / "rows.jsonl", rows);
    succeed("prepare --tokens " + (scratch_ / "rows.jsonl") + " --vocab_size 512 --output_dir " + (scratch_ / "DS"));
    train(4, "");
  }
  static std::string succeed(const std::string& command) {
    const auto outcome = run_program(0, command);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
    return outcome.output;
  }
  void train(int steps, const std::string& options) const {
    succeed(
        fmt::format("train --model_name_or_path {} --dataset {} --output_dir {} --max_steps {} --save_steps 4 "
                    "--global_batch_size 8 --learning_rate 0.01 {}",
                    base_, scratch_ / "DS", out_, steps, options));
  }
  core::Json evaluate(const std::string& options) const {
    succeed(
        fmt::format("evaluate --model_name_or_path {} --dataset {} --split train --generate false --output_dir {} "
                    "--overwrite_output_dir true {}",
                    base_, scratch_ / "DS", out_, options));
    return core::read_json_file(out_ + "/evaluation.json");
  }
  /// Exports; what it said, and its card.
  std::pair<std::string, std::string> export_model(const std::string& options = "") const {
    const std::string merged = scratch_ / "MERGED";
    fs::remove_all(merged);
    const std::string said = succeed(fmt::format(
        "export --model_name_or_path {} --adapter_name_or_path {} --output_dir {} {}", base_, out_, merged, options));
    return {said, core::read_file(merged + "/README.md")};
  }
  static std::string loss_line(const core::Json& evaluation) {
    return fmt::format("loss {:.4f} nats a token", evaluation.at("loss").at("mean_nll").get<double>());
  }
  void expect_left_out(const std::pair<std::string, std::string>& exported, const std::string& why) const {
    EXPECT_NE(exported.first.find("left out of the model card: " + why), std::string::npos) << exported.first;
    EXPECT_EQ(exported.second.find("nats a token"), std::string::npos) << exported.second;
    EXPECT_NE(exported.second.find("Not measured"), std::string::npos) << exported.second;
  }

  const std::string base_ = source("examples/stories260k").string();
  Scratch scratch_;
  const std::string out_ = scratch_ / "OUT";
  const std::string with_adapter_ = "--adapter_name_or_path " + out_;
};

TEST_F(EvaluationQuotes, OfTheSameBaseAndAdapterAreInTheCardWithTheirData) {
  const core::Json evaluation = evaluate(with_adapter_);
  const auto [said, card] = export_model();
  EXPECT_EQ(said.find("left out"), std::string::npos) << said;
  EXPECT_NE(card.find(loss_line(evaluation)), std::string::npos) << card;
  for (const char* fingerprint : {"/model/model_fingerprint", "/model/adapter_fingerprint", "/dataset/fingerprint"}) {
    const auto text = evaluation.at(core::Json::json_pointer(fingerprint)).get<std::string>();
    EXPECT_EQ(text.size(), 64u) << fingerprint;
    EXPECT_NE(card.find(text), std::string::npos) << fingerprint;
  }
  EXPECT_EQ(evaluation.at("dataset").at("split"), "train");
}

TEST_F(EvaluationQuotes, AnAdapterThatWasTrainedOnIsAnother) {
  evaluate(with_adapter_);
  train(8, "--resume_from_checkpoint auto --resume_with_changed num_steps");
  expect_left_out(export_model(), "it is of another adapter, or of this one before more training");
}

TEST_F(EvaluationQuotes, TheBareBaseIsNotTheAdapter) {
  const core::Json evaluation = evaluate("");
  EXPECT_TRUE(evaluation.at("model").at("adapter_fingerprint").is_null());
  expect_left_out(export_model(), "it is of the bare base, without an adapter");
}

TEST_F(EvaluationQuotes, AnotherBaseOrAnotherWayOfKeepingItIsAnotherModel) {
  const core::Json in_four_bits = evaluate(with_adapter_ + " --load_in_4bit true");
  expect_left_out(export_model(), "it is of the base kept as nf4");
  const auto [said, card] = export_model("--load_in_4bit true");
  EXPECT_NE(card.find(loss_line(in_four_bits)), std::string::npos) << said;

  core::Json other = evaluate(with_adapter_);
  other["model"]["model_fingerprint"] = std::string(64, 'a');
  core::write_json_file(out_ + "/evaluation.json", other);
  expect_left_out(export_model(), "it is of another base model");
  other["model"].erase("adapter_fingerprint");
  core::write_json_file(out_ + "/evaluation.json", other);
  expect_left_out(export_model(), "it does not say which adapter it is of");
}

// The adapter's name, the base's path and the files' metadata are no part of what it computes; one bit of one weight
// is.
TEST_F(EvaluationQuotes, FollowTheAdapterToAnotherPlace) {
  const core::Json evaluation = evaluate(with_adapter_);
  const std::string copy = scratch_ / "COPY";
  fs::create_directory(copy);
  for (const char* name : {"adapter_model.safetensors", "adapter_config.json", "evaluation.json"})
    fs::copy_file(out_ + "/" + name, copy + "/" + name);
  core::Json config = core::read_json_file(copy + "/adapter_config.json");
  config["base_model_name_or_path"] = "elsewhere";
  core::write_json_file(copy + "/adapter_config.json", config);
  const std::string command = fmt::format("export --model_name_or_path {} --adapter_name_or_path {} --output_dir {}",
                                          base_, copy, scratch_ / "FROM_COPY");
  succeed(command);
  EXPECT_NE(core::read_file(scratch_ / "FROM_COPY" + "/README.md").find(loss_line(evaluation)), std::string::npos);

  std::string bytes = core::read_file(copy + "/adapter_model.safetensors");
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  core::write_file_atomically(copy + "/adapter_model.safetensors", bytes);
  fs::remove_all(scratch_ / "FROM_COPY");
  EXPECT_NE(succeed(command).find("it is of another adapter"), std::string::npos);
}

TEST_F(EvaluationQuotes, AreNotOverwrittenWithoutAWord) {
  evaluate(with_adapter_);
  const std::string before = core::read_file(out_ + "/evaluation.json");
  const std::string command =
      fmt::format("evaluate --model_name_or_path {} --dataset {} --split train --generate false --output_dir {}", base_,
                  scratch_ / "DS", out_);
  const auto refused = run_program(0, command);
  EXPECT_EQ(refused.exit_code, 2) << refused.output;
  EXPECT_NE(refused.output.find("overwrite_output_dir = true"), std::string::npos) << refused.output;
  EXPECT_EQ(core::read_file(out_ + "/evaluation.json"), before);
  succeed(command + " --overwrite_output_dir true");
  EXPECT_NE(core::read_file(out_ + "/evaluation.json"), before);  // of the bare base now
}

TEST_F(EvaluationQuotes, OneThatFailsLeavesNoDirectory) {
  const auto failed = run_program(0, fmt::format("evaluate --model_name_or_path {} --dataset {} --split nowhere "
                                                 "--output_dir {}",
                                                 base_, scratch_ / "DS", scratch_ / "NEW/EV"));
  EXPECT_EQ(failed.exit_code, 2) << failed.output;
  EXPECT_FALSE(fs::exists(scratch_ / "NEW"));
}

// The card is for publishing: a link in an adapter from elsewhere must not put another file of this machine into it.
TEST_F(EvaluationQuotes, FilesOutsideTheAdapterAreNotQuoted) {
  evaluate(with_adapter_);
  core::write_file_atomically(scratch_ / "secret", "password = hunter2\n");
  for (const char* name : {"config.cfg", "evaluation.json"}) {
    const fs::path file = fs::path(out_) / name, kept = scratch_ / "kept";
    fs::rename(file, kept);
    fs::create_symlink("../secret", file);
    const auto outcome =
        run_program(0, fmt::format("export --model_name_or_path {} --adapter_name_or_path {} --output_dir {}", base_,
                                   out_, scratch_ / "MERGED"));
    EXPECT_EQ(outcome.exit_code, 2) << outcome.output;
    EXPECT_NE(outcome.output.find(std::string(name) + " is a link that leads out of its model"), std::string::npos)
        << outcome.output;
    EXPECT_FALSE(fs::exists(scratch_ / "MERGED"));
    fs::remove(file);
    fs::rename(kept, file);
  }
}

}  // namespace
}  // namespace allreco::cli
