// The trajectories of transformers.Trainer with PEFT, step by step. Limits are those of the fixture's README
// ("Tolerances"): what an independent fp32 implementation sees, with room for another order of summation.
#include <ATen/TensorOperators.h>
#include <ATen/ops/mm.h>
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/files.h"
#include "model/checkpoint/safetensors.h"
#include "model/lora/adapter_config.h"
#include "support/temporary_directory.h"
#include "train/files.h"
#include "train/tiny_run.h"

namespace allreco::train {
namespace {
namespace fs = std::filesystem;

constexpr double kLossTolerance = 1e-5;
constexpr double kGradNormTolerance = 1e-5;  // relative
constexpr double kAdapterTolerance = 5e-5;
constexpr double kAdapterRmsTolerance = 2e-7;

TrainJob job_of(const core::Json& trajectory, const fs::path& base, const fs::path& adapter,
                const support::TemporaryDirectory& scratch) {
  const core::Json& settings = trajectory.at("settings");
  TrainJob job;
  job.base.model_name_or_path = base.string();
  job.base.dtype = "float32";
  job.base.device = "cpu";
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
  const support::TemporaryDirectory scratch;
  const fs::path golden = fixture("golden/lora-trajectory/linear");
  write_golden_dataset(scratch / "DS", golden / "batches.safetensors", {});
  const core::Json trajectory = core::read_json_file(golden / "trajectory.json");
  run(job_of(trajectory, fixture("golden/llama-tiny"), golden / "adapter_initial", scratch));
  expect_steps(trajectory, scratch / "OUT");
  expect_adapter(scratch / "OUT/adapter_model.safetensors", golden / "adapter_final/adapter_model.safetensors");
}

TEST(GoldenTrajectory, CosineAllClippedInMicroBatchesOfThree) {
  const support::TemporaryDirectory scratch;
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
  const support::TemporaryDirectory scratch;
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

/// [B, -B0] [A; A0] of a module, which does not depend on the signs of the start's singular vectors.
at::Tensor update_of(const model::SafetensorsFile& file, const std::string& name_of_a) {
  std::string name_of_b = name_of_a;
  name_of_b.replace(name_of_b.find("lora_A"), 6, "lora_B");
  return at::mm(file.tensor(name_of_b).to(at::kDouble), file.tensor(name_of_a).to(at::kDouble));
}

// Ten times what other runs of PEFT itself differ by (trajectory.json): in float64, or from a start computed in
// float64.
TEST(GoldenTrajectory, StartsFromTheWeights) {
  for (const char* form : {"pissa", "olora"}) {
    SCOPED_TRACE(form);
    const support::TemporaryDirectory scratch;
    const fs::path directory = fixture("lora-starts") / form;
    const core::Json trajectory = core::read_json_file(directory / "trajectory.json");
    write_golden_dataset(scratch / "DS", fixture("golden/lora-trajectory/linear/batches.safetensors"), {});
    const core::Json& settings = trajectory.at("settings");
    TrainJob job = tiny_job(scratch / "DS", scratch / "OUT");
    job.lora = model::read_adapter_config(directory).lora;  // the plain one that comes out; now the one that goes in
    const core::Json& lora = trajectory.at("lora");
    job.lora.init_lora_weights = lora.at("init_lora_weights").get<std::string>();
    job.lora.r = lora.at("r").get<std::int64_t>();
    job.lora.lora_alpha = lora.at("lora_alpha").get<double>();
    for (auto& [key, r] : job.lora.rank_pattern) r = lora.at("rank_pattern").at(key).get<std::int64_t>();
    for (auto& [key, alpha] : job.lora.alpha_pattern) alpha = lora.at("alpha_pattern").at(key).get<double>();
    job.config.shuffle_dataset = false;
    job.config.max_steps = settings.at("max_steps").get<std::int64_t>();
    job.config.learning_rate = settings.at("learning_rate").get<double>();
    job.config.lr_scheduler_type = "constant";
    job.config.warmup_steps = 0;
    job.config.weight_decay = settings.at("weight_decay").get<double>();
    job.config.adam_epsilon = settings.at("adam_epsilon").get<double>();
    job.config.max_grad_norm = settings.at("max_grad_norm").get<double>();
    job.config.logging_steps = 1;
    job.config.save_strategy = "no";
    run(job);

    const core::Json& differences = trajectory.at("largest_differences");
    const auto limit = [&](const char* of) {
      return 10 * std::max(differences.at("float64").at(of).get<double>(),
                           differences.at("float64_start").at(of).get<double>());
    };
    const auto lines = lines_with(scratch / "OUT", "loss");
    ASSERT_EQ(lines.size(), trajectory.at("losses").size());
    for (size_t i = 0; i < lines.size(); ++i)
      EXPECT_NEAR(lines[i].at("loss").get<double>(), trajectory.at("losses")[i].get<double>(), limit("loss"));

    EXPECT_EQ(core::read_json_file(scratch / "OUT/adapter_config.json").at("r"), 2 * job.lora.r);
    const model::SafetensorsFile found(scratch / "OUT/adapter_model.safetensors"),
        expected(directory / "adapter_model.safetensors");
    ASSERT_EQ(found.names(), expected.names());
    for (const std::string& name : expected.names()) {
      ASSERT_EQ(found.tensor(name).sizes(), expected.tensor(name).sizes()) << name;
      if (name.find("lora_A") == std::string::npos) continue;
      const at::Tensor update = update_of(expected, name);
      EXPECT_LT((update_of(found, name) - update).abs().max().item<double>(), limit("update")) << name;
      EXPECT_GT(update.abs().max().item<double>(), 100 * limit("update")) << name << " did not learn";
    }
  }
}

}  // namespace
}  // namespace allreco::train
