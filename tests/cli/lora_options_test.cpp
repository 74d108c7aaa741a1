// LoRA's other forms through the program: from the command line to what PEFT reads.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/files.h"
#include "core/json.h"
#include "program.h"

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

TEST_F(LoraOptions, RefusalsNameWhatIsWrong) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> refusals{
      {"--rank_pattern k_proj", {"rank_pattern", "k_proj"}},
      {"--rank_pattern k_proj=2.5", {"rank_pattern", "2.5"}},
      {"--rank_pattern k_porj=2", {"rank_pattern", "k_porj"}},
      {"--layers_to_transform 1,x", {"layers_to_transform", "x"}},
      {"--layers_to_transform 99", {"no layer 99"}},
      {"--target_modules '.*'", {"target_modules", "lm_head"}},
      {"--init_lora_weights pissa", {"init_lora_weights", "pissa"}},
  };
  for (const auto& [options, parts] : refusals) {
    const auto outcome = run_program(0, train("REFUSED", options));
    EXPECT_EQ(outcome.exit_code, 2) << options << outcome.output;
    for (const auto& part : parts) EXPECT_NE(outcome.output.find(part), std::string::npos) << outcome.output;
  }
}

}  // namespace
}  // namespace allreco::cli
