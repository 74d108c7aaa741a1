// The trajectories of transformers.Trainer with PEFT, step by step. Limits are those of the fixture's README
// ("Tolerances"): what an independent fp32 implementation sees, with room for another order of summation.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/files.h"
#include "model/safetensors.h"
#include "train/scratch.h"
#include "train/tiny_run.h"

namespace allreco::train {
namespace {
namespace fs = std::filesystem;

constexpr double kLossTolerance = 1e-5;
constexpr double kGradNormTolerance = 1e-5;  // relative
constexpr double kAdapterTolerance = 5e-5;
constexpr double kAdapterRmsTolerance = 2e-7;

TrainJob job_of(const core::Json& trajectory, const fs::path& base, const fs::path& adapter, const Scratch& scratch) {
  const core::Json& settings = trajectory.at("settings");
  TrainJob job;
  job.model_name_or_path = base.string();
  job.dtype = "float32";
  job.adapter_name_or_path = adapter.string();
  TrainConfig& config = job.config;
  config.dataset = (scratch / "DS").string();
  config.output_dir = (scratch / "OUT").string();
  config.shuffle_dataset = false;
  config.per_device_train_batch_size = settings.at("per_device_train_batch_size").get<std::int64_t>();
  config.gradient_accumulation_steps = settings.at("gradient_accumulation_steps").get<std::int64_t>();
  config.max_steps = settings.at("max_steps").get<std::int64_t>();
  config.learning_rate = settings.at("lr").get<double>();
  config.lr_scheduler_type = settings.at("schedule").get<std::string>();
  config.warmup_steps = settings.at("warmup_steps").get<std::int64_t>();
  config.weight_decay = settings.at("weight_decay").get<double>();
  config.adam_epsilon = settings.at("eps").get<double>();
  config.max_grad_norm = settings.at("max_grad_norm").get<double>();
  config.logging_steps = 1;
  config.save_strategy = "no";
  return job;
}

void expect_steps(const core::Json& trajectory, const fs::path& output_dir) {
  const auto lines = lines_with(output_dir, "loss");
  const core::Json& steps = trajectory.at("steps");
  ASSERT_EQ(lines.size(), steps.size());
  double worst_loss = 0, worst_norm = 0;
  for (size_t i = 0; i < lines.size(); ++i) {
    const double loss = steps[i].at("loss").get<double>();
    const double norm = steps[i].at("grad_norm").get<double>();
    worst_loss = std::max(worst_loss, std::abs(lines[i].at("loss").get<double>() - loss));
    worst_norm = std::max(worst_norm, std::abs(lines[i].at("grad_norm").get<double>() / norm - 1));
    EXPECT_EQ(lines[i].at("step"), steps[i].at("step"));
    EXPECT_EQ(lines[i].at("learning_rate").get<double>(), steps[i].at("learning_rate").get<double>())
        << "step " << i + 1;
    EXPECT_EQ(lines[i].at("supervised_tokens"), steps[i].at("num_items")) << "step " << i + 1;
  }
  EXPECT_LT(worst_loss, kLossTolerance);
  EXPECT_LT(worst_norm, kGradNormTolerance);
  ::testing::Test::RecordProperty("worst_loss", fmt::format("{:.3g}", worst_loss));
  ::testing::Test::RecordProperty("worst_grad_norm", fmt::format("{:.3g}", worst_norm));
}

void expect_adapter(const fs::path& found_file, const fs::path& expected_file) {
  const model::SafetensorsFile found(found_file), expected(expected_file);
  ASSERT_EQ(found.names().size(), expected.names().size());
  double worst = 0, sum_of_squares = 0, count = 0;
  for (const std::string& name : expected.names()) {
    const at::Tensor a = found.tensor(name), b = expected.tensor(name);
    ASSERT_EQ(a.sizes(), b.sizes()) << name;
    for (std::int64_t i = 0; i < a.numel(); ++i, ++count) {
      const double difference = std::abs(static_cast<double>(a.const_data_ptr<float>()[i]) -
                                         static_cast<double>(b.const_data_ptr<float>()[i]));
      worst = std::max(worst, difference);
      sum_of_squares += difference * difference;
    }
  }
  EXPECT_LT(worst, kAdapterTolerance);
  EXPECT_LT(std::sqrt(sum_of_squares / count), kAdapterRmsTolerance);
  ::testing::Test::RecordProperty("worst_adapter", fmt::format("{:.3g}", worst));
}

TEST(GoldenTrajectory, LinearWithAccumulation) {
  const Scratch scratch;
  const fs::path golden = fixture("golden/lora-trajectory/linear");
  write_golden_dataset(scratch / "DS", golden / "batches.safetensors", {});
  const core::Json trajectory = core::read_json_file(golden / "trajectory.json");
  run(job_of(trajectory, fixture("golden/llama-tiny"), golden / "adapter_initial", scratch));
  expect_steps(trajectory, scratch / "OUT");
  expect_adapter(scratch / "OUT/adapter_model.safetensors", golden / "adapter_final/adapter_model.safetensors");
}

TEST(GoldenTrajectory, CosineAllClippedInMicroBatchesOfThree) {
  const Scratch scratch;
  const fs::path golden = fixture("golden/lora-trajectory");
  write_golden_dataset(scratch / "DS", golden / "linear/batches.safetensors", {});
  const core::Json trajectory = core::read_json_file(golden / "cosine/trajectory.json");
  TrainJob job = job_of(trajectory, fixture("golden/llama-tiny"), golden / "linear/adapter_initial", scratch);
  // How the batch of 8 is cut must not matter; recomputing activations must not either.
  job.config.global_batch_size = 8;
  job.config.per_device_train_batch_size = 3;
  job.config.gradient_accumulation_steps = 1;
  job.config.gradient_checkpointing = true;
  run(job);
  expect_steps(trajectory, scratch / "OUT");
  expect_adapter(scratch / "OUT/adapter_model.safetensors", golden / "cosine/adapter_final/adapter_model.safetensors");
}

TEST(GoldenTrajectory, StoriesAmazonWithEvaluation) {
  const Scratch scratch;
  const fs::path golden = fixture("golden/stories-amazon");
  write_golden_dataset(scratch / "DS", golden / "batches.safetensors", golden / "eval.safetensors");
  const core::Json trajectory = core::read_json_file(golden / "trajectory.json");
  TrainJob job =
      job_of(trajectory, fs::path(ALLRECO_SOURCE_DIR) / "examples/stories260k", golden / "adapter_initial", scratch);
  job.config.eval_strategy = "steps";
  job.config.eval_steps = 1;
  run(job);
  expect_steps(trajectory, scratch / "OUT");
  expect_adapter(scratch / "OUT/adapter_model.safetensors", golden / "adapter_final/adapter_model.safetensors");
  // The first step has learning rate 0: the evaluation after it is the one before training.
  const auto evaluations = lines_with(scratch / "OUT", "eval_loss");
  ASSERT_EQ(evaluations.size(), 40u);
  EXPECT_NEAR(evaluations.front().at("eval_loss").get<double>(),
              trajectory.at("eval_before").at("mean_nll").get<double>(), kLossTolerance);
  EXPECT_NEAR(evaluations.back().at("eval_loss").get<double>(),
              trajectory.at("eval_after").at("mean_nll").get<double>(), kLossTolerance);
}

}  // namespace
}  // namespace allreco::train
