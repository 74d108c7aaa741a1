// model_loading = broadcast through the program: the same training and evaluation, bit by bit.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>

#include "cli/program.h"
#include "core/files.h"
#include "core/json.h"

namespace allreco::cli {
namespace {

using namespace testing;

/// 32 rows of token ids in Hugging Face's convention.
std::string write_tokens(const std::string& path) {
  std::ofstream file(path);
  for (int row = 0; row < 32; ++row) {
    core::Json ids = core::Json::array(), labels = core::Json::array();
    for (int t = 0; t < 20 + row % 5; ++t) {
      ids.push_back(3 + (row * 31 + t * 17) % 500);
      labels.push_back(t < 12 ? core::Json(-100) : ids.back());
    }
    file << core::Json{{"input_ids", ids}, {"labels", labels}}.dump() << "\n";
  }
  return path;
}

TEST(ModelLoading, BroadcastGivesTheSameBitsAsMmap) {
  const Scratch scratch;
  const auto prepared = run_program(0, fmt::format("prepare --tokens {} --vocab_size 512 --output_dir {}",
                                                   write_tokens(scratch / "tokens.jsonl"), scratch / "DS"));
  ASSERT_EQ(prepared.exit_code, 0) << prepared.output;
  const auto train = [&](const std::string& loading) {
    const std::string out = scratch / loading;
    const auto run = run_program(
        2, fmt::format("train --model_name_or_path {} --dataset {} --output_dir {} --max_steps 4 --save_strategy no "
                       "--model_loading {}",
                       source("examples/stories260k").string(), scratch / "DS", out, loading));
    EXPECT_EQ(run.exit_code, 0) << run.output;
    return core::read_file(out + "/adapter_model.safetensors");
  };
  EXPECT_TRUE(train("mmap") == train("broadcast"));
}

TEST(ModelLoading, ADamagedFileIsOneErrorOfAllRanks) {
  const Scratch scratch;
  std::filesystem::copy(source("examples/stories260k"), scratch / "model");
  std::filesystem::resize_file(scratch / "model" + "/model.safetensors", 100'000);
  const auto run = run_program(
      2, fmt::format("evaluate --model_name_or_path {} --dataset {} --output_dir {} --model_loading broadcast",
                     scratch / "model", scratch / "DS", scratch / "out"));
  EXPECT_EQ(run.exit_code, 2) << run.output;
  EXPECT_NE(run.output.find("rank 0: "), std::string::npos) << run.output;
  EXPECT_NE(run.output.find("model.safetensors: "), std::string::npos) << run.output;
}

}  // namespace
}  // namespace allreco::cli
