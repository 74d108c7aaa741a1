// LoRA's other forms through the program: from the command line to what PEFT reads.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "cli/program.h"
#include "core/files.h"
#include "core/json.h"

namespace allreco::cli {
namespace {

using namespace testing;

class LoraOptions : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string rows;
    for (int i = 0; i < 24; ++i)
      rows += fmt::format("{{\"input_ids\":[1,{},{},{}],\"labels\":[-100,-100,{},{}]}}\n", 3 + i, 40 + i, 9 * i + 5,
                          40 + i, 9 * i + 5);
    core::write_file_atomically(scratch_ / "rows.jsonl", rows);
    const auto outcome = run_program(
        0, "prepare --tokens " + (scratch_ / "rows.jsonl") + " --vocab_size 512 --output_dir " + (scratch_ / "DS"));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.output;
  }
  std::string train(const std::string& out, const std::string& options) const {
    return fmt::format(
        "train --model_name_or_path {} --dataset {} --output_dir {} --max_steps 3 --save_strategy no --threads 1 "
        "--deterministic true --global_batch_size 8 {}",
        source("examples/stories260k").string(), scratch_ / "DS", scratch_ / out, options);
  }
  std::string adapter(const std::string& out) const {
    return core::read_file(scratch_ / (out + "/adapter_model.safetensors"));
  }
  Scratch scratch_;
};

TEST_F(LoraOptions, TrainAlikeOnAnyNumberOfRanksAndFromTheWrittenConfig) {
  const std::string options =
      "--target_modules q_proj,k_proj,mlp.up_proj --exclude_modules layers.3.self_attn.q_proj --layers_to_transform "
      "2,3 "
      "--lora_r 4 --rank_pattern 'k_proj=3,l[a-z]{5,6}.3.mlp.up_proj=2' --alpha_pattern k_proj=7.5 --use_dora true "
      "--init_lora_weights gaussian --lora_dropout 0.1";
  for (const int ranks : {0, 2}) {
    const auto outcome = run_program(ranks, train(fmt::format("OUT{}", ranks), options));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.output;
  }
  EXPECT_EQ(adapter("OUT0"), adapter("OUT2"));
  const auto again = run_program(
      0, fmt::format("train --config {} --output_dir {}", scratch_ / "OUT0/config.cfg", scratch_ / "AGAIN"));
  ASSERT_EQ(again.exit_code, 0) << again.output;
  EXPECT_EQ(adapter("OUT0"), adapter("AGAIN"));

  const core::Json config = core::read_json_file(scratch_ / "OUT0/adapter_config.json");
  EXPECT_EQ(config["target_modules"], (core::Json{"k_proj", "mlp.up_proj", "q_proj"}));
  EXPECT_EQ(config["exclude_modules"], (core::Json::array({"layers.3.self_attn.q_proj"})));
  EXPECT_EQ(config["layers_to_transform"], (core::Json{2, 3}));
  EXPECT_EQ(config["rank_pattern"], (core::Json{{"k_proj", 3}, {"l[a-z]{5,6}.3.mlp.up_proj", 2}}));
  EXPECT_EQ(config["alpha_pattern"], (core::Json{{"k_proj", 7.5}}));
  EXPECT_EQ(config["use_dora"], true);
  EXPECT_EQ(config["init_lora_weights"], "gaussian");
}

// What a run writes is plain LoRA of twice the rank to every other command, and to a run that goes on from it.
TEST_F(LoraOptions, StartsFromTheWeightsAlikeOnAnyNumberOfRanksAndWritePlainLora) {
  const std::string base = source("examples/stories260k").string();
  const std::vector<std::pair<std::string, std::string>> starts{
      {"pissa", "--load_in_4bit true"}, {"pissa_niter_3", ""}, {"olora", ""}};
  for (const auto& [start, options] : starts) {
    for (const int ranks : {0, 2}) {
      const auto outcome = run_program(
          ranks, train(fmt::format("{}{}", start, ranks),
                       fmt::format("--lora_r 4 --target_modules q_proj,k_proj,down_proj --layers_to_transform 1,2,4 "
                                   "--init_lora_weights {} {}",
                                   start, options)));
      ASSERT_EQ(outcome.exit_code, 0) << outcome.output;
      EXPECT_NE(outcome.output.find("LoRA started from the weights"), std::string::npos) << outcome.output;
    }
    EXPECT_EQ(adapter(start + "0"), adapter(start + "2")) << start;
  }
  EXPECT_NE(adapter("pissa_niter_30"), adapter("olora0"));

  const std::string out = scratch_ / "olora0";
  const core::Json config = core::read_json_file(out + "/adapter_config.json");
  EXPECT_EQ(config["r"], 8);
  EXPECT_EQ(config["lora_alpha"], 32);
  EXPECT_EQ(config["init_lora_weights"], true);
  const auto inspected = run_program(0, "inspect " + out);
  EXPECT_NE(inspected.output.find("\"r\": 8"), std::string::npos) << inspected.output;
  const auto exported = run_program(0, "export --model_name_or_path " + base + " --adapter_name_or_path " + out +
                                           " --output_dir " + (scratch_ / "MERGED"));
  EXPECT_EQ(exported.exit_code, 0) << exported.output;  // it compares the logits before it writes
  const auto loss_of = [&](const std::string& model) {
    const auto outcome = run_program(
        0, "evaluate --model_name_or_path " + model + " --dataset " + (scratch_ / "DS") +
               " --split train --generate false --overwrite_output_dir true --output_dir " + (scratch_ / "EVAL"));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
    return core::read_json_file(scratch_ / "EVAL/evaluation.json").at("loss").at("mean_nll").get<double>();
  };
  const double loss = loss_of(base + " --adapter_name_or_path " + out);
  EXPECT_NEAR(loss_of(scratch_ / "MERGED"), loss, 1e-5);
  EXPECT_GT(std::abs(loss_of(base) - loss), 1e-4) << "the adapter does nothing";

  const auto further = run_program(0, train("FURTHER", "--adapter_name_or_path " + out));
  ASSERT_EQ(further.exit_code, 0) << further.output;
  const core::Json plain = core::read_json_file(scratch_ / "FURTHER/adapter_config.json");
  EXPECT_EQ(plain["r"], 8);
  EXPECT_EQ(plain["lora_alpha"], 32);
}

TEST_F(LoraOptions, RefusalsNameWhatIsWrong) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> refusals{
      {"--rank_pattern k_proj", {"rank_pattern", "k_proj"}},
      {"--rank_pattern k_proj=2.5", {"rank_pattern", "2.5"}},
      {"--rank_pattern k_porj=2", {"rank_pattern", "k_porj"}},
      {"--layers_to_transform 1,x", {"layers_to_transform", "x"}},
      {"--layers_to_transform 99", {"no layer 99"}},
      {"--target_modules '.*'", {"target_modules", "lm_head"}},
      {"--init_lora_weights pissa_niter", {"init_lora_weights = pissa_niter", "pissa_niter_N"}},
      {"--init_lora_weights pissa --use_dora true", {"init_lora_weights = pissa", "use_dora"}},
      {"--init_lora_weights olora --lora_r 65", {"lora_r = 65", "q_proj [64, 64]", "olora"}},
  };
  for (const auto& [options, parts] : refusals) {
    const auto outcome = run_program(0, train("REFUSED", options));
    EXPECT_EQ(outcome.exit_code, 2) << options << outcome.output;
    for (const auto& part : parts) EXPECT_NE(outcome.output.find(part), std::string::npos) << outcome.output;
  }
}

}  // namespace
}  // namespace allreco::cli
