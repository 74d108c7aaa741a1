#include "train/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "core/check.h"
#include "core/files.h"
#include "model/lora/adapter.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"
#include "train/checkpoint.h"
#include "train/files.h"
#include "train/tiny_run.h"

namespace allreco::train {
namespace {
namespace fs = std::filesystem;

TEST(Trainer, WritesTheOutputDirectory) {
  const support::TemporaryDirectory scratch;
  write_random_dataset(scratch / "DS", 10);
  TrainJob job = tiny_job(scratch / "DS", scratch / "OUT");
  job.config.max_steps = -1;
  job.config.num_train_epochs = 2;
  job.config.logging_steps = 2;
  const TrainResult result = run(job);  // 3 steps an epoch, the third with 2 examples
  EXPECT_EQ(result.global_step, 6);
  EXPECT_FALSE(result.stopped_by_signal);
  EXPECT_EQ(core::read_file(scratch / "OUT/config.cfg"), job.resolved_options);
  const auto lines = lines_with(scratch / "OUT", "loss");
  ASSERT_EQ(lines.size(), 3u);
  for (const char* key : {"step", "epoch", "loss", "grad_norm", "learning_rate", "num_steps", "tokens",
                          "supervised_tokens", "tokens_per_second", "step_ms", "compute_ms", "communication_exposed_ms",
                          "data_wait_ms", "peak_rss_bytes", "peak_gpu_bytes"}) {
    EXPECT_TRUE(lines[0].contains(key)) << key;
  }
  EXPECT_EQ(lines[2].at("epoch").get<double>(), 2.0);
  EXPECT_GT(lines[0].at("peak_rss_bytes").get<std::int64_t>(), 1 << 20);
  double mean_of_lines = 0;
  for (const core::Json& line : lines) mean_of_lines += line.at("loss").get<double>() / 3;
  EXPECT_NEAR(result.train_loss, mean_of_lines, 1e-12);
  EXPECT_EQ(core::read_json_file(scratch / "OUT/train_results.json").at("samples_consumed"), 20);
  EXPECT_NO_THROW(model::read_adapter_config(scratch / "OUT"));
  const core::Json state = core::read_json_file(scratch / "OUT/last/trainer_state.json");
  EXPECT_EQ(state.at("global_step"), 6);
  EXPECT_EQ(state.at("log_history").size(), 3u);
  EXPECT_EQ(state.at("config_hash").get<std::string>().size(), 64u);
}

TEST(Trainer, TheWayTheBatchIsCutDoesNotChangeTheLosses) {
  const support::TemporaryDirectory scratch;
  write_random_dataset(scratch / "DS", 22);
  std::vector<std::vector<core::Json>> runs;
  for (std::int64_t micro_batch : {8, 3, 1}) {
    TrainJob job = tiny_job(scratch / "DS", scratch / ("OUT" + std::to_string(micro_batch)));
    job.config.global_batch_size = 8;
    job.config.per_device_train_batch_size = micro_batch;
    job.config.logging_steps = 1;
    run(job);
    runs.push_back(lines_with(job.config.output_dir, "loss"));
  }
  // Only the order of float32 sums differs (dropout masks follow the samples): 1e-6 a step at most, fed back over 12
  // steps.
  for (size_t i = 0; i < 12; ++i) {
    for (size_t r : {1u, 2u})
      EXPECT_NEAR(runs[r][i].at("loss").get<double>() / runs[0][i].at("loss").get<double>(), 1, 1e-5) << i;
  }
}

TEST(Trainer, KeepsTheBestAndDeletesTheOldest) {
  const support::TemporaryDirectory scratch;
  write_random_dataset(scratch / "DS", 12);
  TrainJob job = tiny_job(scratch / "DS", scratch / "OUT");
  job.config.eval_strategy = job.config.save_strategy = "steps";
  job.config.eval_steps = job.config.save_steps = 1;
  job.config.save_total_limit = 2;
  job.config.load_best_model_at_end = true;
  job.config.learning_rate = 0.05;  // learns the training rows by heart: eval_loss turns after a few steps
  const TrainResult result = run(job);
  const auto evaluations = lines_with(scratch / "OUT", "eval_loss");
  ASSERT_EQ(evaluations.size(), 12u);
  size_t best = 0;
  for (size_t i = 0; i < evaluations.size(); ++i) {
    if (evaluations[i].at("eval_loss").get<double>() < evaluations[best].at("eval_loss").get<double>()) best = i;
  }
  ASSERT_LT(best, 10u) << "the test needs a best step that save_total_limit would delete";
  EXPECT_EQ(result.best_metric, evaluations[best].at("eval_loss").get<double>());
  EXPECT_EQ(result.best_model_checkpoint, checkpoint_name(static_cast<std::int64_t>(best) + 1));
  EXPECT_EQ(fs::read_symlink(scratch / "OUT/best"), result.best_model_checkpoint);
  EXPECT_EQ(fs::read_symlink(scratch / "OUT/last"), "checkpoint-12");
  EXPECT_EQ(core::read_file(scratch / "OUT/adapter_model.safetensors"),
            core::read_file(scratch / "OUT/best/adapter_model.safetensors"));
  EXPECT_NE(core::read_file(scratch / "OUT/adapter_model.safetensors"),
            core::read_file(scratch / "OUT/last/adapter_model.safetensors"));
  size_t num_checkpoints = 0;
  for (const auto& entry : fs::directory_iterator(scratch / "OUT"))
    num_checkpoints += checkpoint_step(entry.path().filename().string()).has_value();
  EXPECT_EQ(num_checkpoints, 2u);
}

TEST(Trainer, StopsEarlyWithTheBestCheckpoint) {
  const support::TemporaryDirectory scratch;
  write_random_dataset(scratch / "DS", 12);
  TrainJob job = tiny_job(scratch / "DS", scratch / "OUT");
  job.config.eval_strategy = job.config.save_strategy = "steps";
  job.config.eval_steps = job.config.save_steps = 1;
  job.config.load_best_model_at_end = true;
  job.config.early_stopping_patience = 2;
  job.config.learning_rate = 0.05;  // as above: eval_loss turns after a few steps
  const TrainResult result = run(job);
  std::vector<double> losses;
  for (const auto& line : lines_with(scratch / "OUT", "eval_loss"))
    losses.push_back(line.at("eval_loss").get<double>());
  ASSERT_LT(losses.size(), 12u);
  ASSERT_GE(losses.size(), 3u);
  EXPECT_EQ(result.global_step, static_cast<std::int64_t>(losses.size()));
  EXPECT_FALSE(result.stopped_by_signal);
  const auto best = std::min_element(losses.begin(), losses.end());
  EXPECT_EQ(losses.end() - best, 3);  // two evaluations without a gain follow it
  EXPECT_EQ(result.best_metric, *best);
  EXPECT_EQ(core::read_file(scratch / "OUT/adapter_model.safetensors"),
            core::read_file(scratch / "OUT/best/adapter_model.safetensors"));
  job.config.resume_from_checkpoint = "auto";  // goes on from the last checkpoint, and ends at once
  EXPECT_EQ(run(job).global_step, result.global_step);
}

TEST(Trainer, SkipsStepsThatAreNotFiniteAndGivesUp) {
  const support::TemporaryDirectory scratch;
  write_random_dataset(scratch / "DS", 12);
  TrainJob job = tiny_job(scratch / "DS", scratch / "OUT");
  job.config.warmup_steps = 0;
  job.config.learning_rate = 3e37;  // the first update leaves B finite, and nothing that it is multiplied with
  job.config.logging_steps = 1;
  job.config.max_skipped_steps = 3;
  const std::string message = support::message_of<core::Fault>([&] { run(job); });
  EXPECT_NE(message.find("3 steps in a row"), std::string::npos) << message;
  const auto lines = lines_with(scratch / "OUT", "loss");
  ASSERT_EQ(lines.size(), 3u);  // one good step, two skipped; the third ends the run
  EXPECT_TRUE(std::isfinite(lines[0].at("loss").get<double>()));
  EXPECT_TRUE(lines[2].at("loss").is_null());
  EXPECT_EQ(lines[2].at("skipped_steps"), 2);
}

TEST(Trainer, RefusesWhatDoesNotGoTogetherBeforeItWritesAnything) {
  const support::TemporaryDirectory scratch;
  write_random_dataset(scratch / "DS", 6);
  const std::vector<std::pair<std::string, std::function<void(TrainJob&)>>> mistakes{
      {"nowhere", [&](TrainJob& j) { j.config.dataset = (scratch / "nowhere").string(); }},
      {"evaluation", [](TrainJob& j) { j.config.train_split = "evaluation"; }},
      {"mistral-tiny",
       [](TrainJob& j) { j.base.model_name_or_path = fixture("golden/mistral-tiny").string(); }},  // knows 256 tokens
      {"zebra_proj", [](TrainJob& j) { j.lora.target_modules = {"zebra_proj"}; }},
      {"adapter", [&](TrainJob& j) { j.adapter_name_or_path = (scratch / "no-adapter").string(); }},
      {"metric_for_best_model = accuracy: the dataset",  // of token ids alone
       [](TrainJob& j) {
         j.config.eval_strategy = "epoch";
         j.config.metric_for_best_model = "accuracy";
       }},
      {"resume_from_checkpoint = last", [](TrainJob& j) { j.config.resume_from_checkpoint = "last"; }},
  };
  for (const auto& [expected, spoil] : mistakes) {
    TrainJob job = tiny_job(scratch / "DS", scratch / "OUT");
    spoil(job);
    const std::string message = support::message_of<core::UserError>([&] { run(job); });
    EXPECT_NE(message.find(expected), std::string::npos) << "expected " << expected << ", message: " << message;
    EXPECT_FALSE(fs::exists(scratch / "OUT"));
  }
}

TEST(Trainer, AnotherRunsDirectoryIsLeftAloneUnlessToldOtherwise) {
  const support::TemporaryDirectory scratch;
  write_random_dataset(scratch / "DS", 6);
  TrainJob job = tiny_job(scratch / "DS", scratch / "OUT");
  job.config.max_steps = 6;
  run(job);
  const std::string before = core::sha256_of_file(scratch / "OUT/metrics.jsonl");
  const std::string message = support::message_of<core::UserError>([&] { run(job); });
  EXPECT_NE(message.find("already holds a run"), std::string::npos) << message;
  EXPECT_EQ(core::sha256_of_file(scratch / "OUT/metrics.jsonl"), before);
  job.config.overwrite_output_dir = true;
  job.config.max_steps = 3;
  write_text(scratch / "OUT/notes.txt", "mine");
  write_text(scratch / "OUT/evaluation.json", "of the adapter that goes");
  write_text(scratch / "OUT/predictions.jsonl", "as well");
  run(job);
  EXPECT_FALSE(fs::exists(scratch / "OUT/evaluation.json"));
  EXPECT_FALSE(fs::exists(scratch / "OUT/predictions.jsonl"));
  EXPECT_TRUE(fs::exists(scratch / "OUT/notes.txt"));
  EXPECT_FALSE(fs::exists(scratch / "OUT/checkpoint-6"));
  EXPECT_TRUE(fs::exists(scratch / "OUT/checkpoint-3"));
  // Finished without a checkpoint: auto must not start over on top of it.
  fs::remove_all(scratch / "OUT/checkpoint-3");
  job.config.overwrite_output_dir = false;
  job.config.resume_from_checkpoint = "auto";
  EXPECT_THROW(run(job), core::UserError);
}

}  // namespace
}  // namespace allreco::train
