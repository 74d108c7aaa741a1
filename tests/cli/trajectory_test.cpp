// The training trajectories of transformers.Trainer with PEFT, reproduced through the command line: prepare --tokens,
// train. Tolerances: the fixture's (tests/fixtures/golden): loss 1e-5, grad_norm 1e-5 relative, final adapter 5e-5 at
// most and 2e-7 rms, learning rate exact.
#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/max.h>
#include <ATen/ops/mean.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "cli/program.h"
#include "core/files.h"
#include "model/checkpoint/safetensors.h"

namespace allreco::cli {
namespace {

using namespace testing;

/// Micro-batches as Hugging Face pads them -> JSON lines of token ids.
void write_rows(const std::string& path, const std::string& batches) {
  const model::SafetensorsFile file(golden(batches));
  std::ofstream out(path);
  for (int k = 0; file.contains(fmt::format("micro{:03}.input_ids", k)); ++k) {
    const auto tensor = [&](const char* what) { return file.tensor(fmt::format("micro{:03}.{}", k, what)); };
    for (std::int64_t row = 0; row < tensor("lengths").size(0); ++row) {
      const std::int64_t length = tensor("lengths")[row].item<std::int64_t>();
      const auto values = [&](const char* what) {
        const at::Tensor t = tensor(what)[row].narrow(0, 0, length).contiguous();
        return std::vector<std::int64_t>(t.const_data_ptr<std::int64_t>(), t.const_data_ptr<std::int64_t>() + length);
      };
      out << core::Json{{"input_ids", values("input_ids")}, {"labels", values("labels")}}.dump() << "\n";
    }
  }
}

struct Trajectory {
  std::string name, batches, adapter_initial, model, options;
};

void expect_trajectory(const Trajectory& t, const std::filesystem::path& out) {
  const auto expected = core::read_json_file(golden(t.name + "/trajectory.json"))["steps"];
  const auto found = training_metrics(out);
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i]["step"], expected[i]["step"]);
    EXPECT_EQ(found[i]["learning_rate"].get<double>(), expected[i]["learning_rate"].get<double>()) << "step " << i + 1;
    EXPECT_NEAR(found[i]["loss"].get<double>(), expected[i]["loss"].get<double>(), 1e-5) << "step " << i + 1;
    const double norm = expected[i]["grad_norm"].get<double>();
    EXPECT_NEAR(found[i]["grad_norm"].get<double>(), norm, 1e-5 * norm) << "step " << i + 1;
  }
  const model::SafetensorsFile mine(out / "adapter_model.safetensors");
  const model::SafetensorsFile peers(golden(t.name + "/adapter_final/adapter_model.safetensors"));
  ASSERT_EQ(mine.names(), peers.names());
  double squares = 0;
  std::int64_t count = 0;
  for (const auto& name : peers.names()) {
    const at::Tensor d = (mine.tensor(name) - peers.tensor(name)).abs();
    EXPECT_LT(d.max().item<double>(), 5e-5) << name;
    squares += (d * d).sum().item<double>();
    count += d.numel();
  }
  EXPECT_LT(std::sqrt(squares / static_cast<double>(count)), 2e-7);
}

/// Micro-batches -> the dataset `scratch`/DS for `model`.
void prepare(const std::string& batches, const std::string& model, const Scratch& scratch) {
  write_rows(scratch / "rows.jsonl", batches);
  const auto prepared = run_program(
      0, fmt::format("prepare --tokens {} --vocab_size {} --output_dir {}", scratch / "rows.jsonl",
                     core::read_json_file(model + "/config.json")["vocab_size"].get<int>(), scratch / "DS"));
  ASSERT_EQ(prepared.exit_code, 0) << prepared.output;
}

void reproduce(const Trajectory& t, const std::vector<int>& rank_counts) {
  Scratch scratch;
  prepare(t.batches, t.model, scratch);
  for (int ranks : rank_counts) {
    const std::string out = scratch / fmt::format("OUT{}", ranks);
    const auto run = run_program(
        ranks, fmt::format("train --model_name_or_path {} --adapter_name_or_path {} --dataset {} --output_dir {} "
                           "--shuffle_dataset false --dtype float32 --global_batch_size 8 --learning_rate 1e-3 "
                           "--warmup_steps 3 --weight_decay 0.001 --logging_steps 1 --save_strategy no {}",
                           t.model, golden(t.adapter_initial).string(), scratch / "DS", out, t.options));
    ASSERT_EQ(run.exit_code, 0) << run.output;
    SCOPED_TRACE(fmt::format("{} on {} rank(s)", t.name, ranks));
    expect_trajectory(t, out);
  }
}

TEST(Trajectory, LinearWithClippingOnOneTwoAndFourRanks) {
  reproduce({"lora-trajectory/linear", "lora-trajectory/linear/batches.safetensors",
             "lora-trajectory/linear/adapter_initial", golden("llama-tiny").string(),
             "--per_device_train_batch_size 2 --lr_scheduler_type linear --max_steps 30 --max_grad_norm 1.0"},
            {1, 2, 4});
}

TEST(Trajectory, CosineWithClipping) {
  reproduce({"lora-trajectory/cosine", "lora-trajectory/linear/batches.safetensors",
             "lora-trajectory/linear/adapter_initial", golden("llama-tiny").string(),
             "--per_device_train_batch_size 4 --lr_scheduler_type cosine --max_steps 10 --max_grad_norm 0.3"},
            {2});
}

class FamilyTrajectory : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Families, FamilyTrajectory, ::testing::Values("gemma3-tiny", "qwen3-tiny"),
                         [](const auto& tested) { return tested.param.substr(0, tested.param.find('-')); });

TEST_P(FamilyTrajectory, LinearWithClippingOnTwoRanks) {
  const std::string name = "lora-trajectory/" + GetParam();
  reproduce({name, name + "/batches.safetensors", name + "/adapter_initial", golden(GetParam()).string(),
             "--per_device_train_batch_size 4 --lr_scheduler_type linear --max_steps 12 --max_grad_norm 1.0"},
            {2});
}

// Bits, not tolerances, on the family with the most terms: checkpointing, dropout, DoRA.
TEST(Trajectory, DeterministicRunsOfGemmaHaveTheSameBitsOnAnyNumberOfRanks) {
  Scratch scratch;
  const std::string model = golden("gemma3-tiny").string();
  prepare("lora-trajectory/gemma3-tiny/batches.safetensors", model, scratch);
  std::string reference;
  for (const int ranks : {0, 2}) {
    const std::string out = scratch / fmt::format("OUT{}", ranks);
    const auto run = run_program(
        ranks,
        fmt::format("train --model_name_or_path {} --dataset {} --output_dir {} --deterministic true --max_steps "
                    "4 --global_batch_size 8 --per_device_train_batch_size {} --lora_r 4 --lora_dropout 0.1 "
                    "--use_dora true --gradient_checkpointing {} --save_strategy no --threads 1",
                    model, scratch / "DS", out, ranks == 0 ? 8 : 2, ranks == 0));
    ASSERT_EQ(run.exit_code, 0) << run.output;
    const std::string adapter = core::read_file(out + "/adapter_model.safetensors");
    if (reference.empty()) reference = adapter;
    EXPECT_TRUE(adapter == reference) << ranks << " ranks";
  }
}

TEST(Trajectory, RealModelOnRealTextOverFiveEpochs) {
  reproduce({"stories-amazon", "stories-amazon/batches.safetensors", "stories-amazon/adapter_initial",
             source("examples/stories260k").string(),
             "--per_device_train_batch_size 8 --lr_scheduler_type linear --num_train_epochs 5 --max_grad_norm 1.0"},
            {1, 2});
}

}  // namespace
}  // namespace allreco::cli
