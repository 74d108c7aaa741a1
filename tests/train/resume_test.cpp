#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <thread>

#include "core/check.h"
#include "core/files.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"
#include "train/checkpoint.h"
#include "train/files.h"
#include "train/tiny_run.h"
#include "train/trainer_state.h"

namespace allreco::train {
namespace {
namespace fs = std::filesystem;

/// 12 steps with evaluations, checkpoints at 5, 10 and 12, log lines at 3, 6, 9, 12: step 5 lies inside a log window
/// and an epoch.
TrainJob resumable_job(const support::TemporaryDirectory& scratch, const std::string& output) {
  TrainJob job = tiny_job(scratch / "DS", scratch / output);
  job.config.eval_strategy = "steps";
  job.config.eval_steps = 4;
  return job;
}

/// What a run killed after step `step`'s checkpoint, in the middle of later work, leaves behind.
void rewind_to(const fs::path& output_dir, std::int64_t step) {
  for (const char* name : {"adapter_model.safetensors", "adapter_config.json", "train_results.json"})
    fs::remove(output_dir / name);
  for (const fs::directory_entry& entry : fs::directory_iterator(output_dir)) {
    const auto found = checkpoint_step(entry.path().filename().string());
    if (found && *found > step) fs::remove_all(entry.path());
  }
  update_link(output_dir, "last", checkpoint_name(step));
  fs::create_directory(output_dir / "checkpoint-10.tmp");
  write_text(output_dir / "checkpoint-10.tmp" / "adapter_model.safetensors", "half");
}

void expect_same_bytes(const fs::path& a, const fs::path& b) {
  EXPECT_EQ(core::sha256_of_file(a), core::sha256_of_file(b)) << a << " and " << b;
}

void expect_bit_exact_resume(const std::function<void(TrainJob&)>& choose) {
  const support::TemporaryDirectory scratch;
  write_random_dataset(scratch / "DS", 22);
  TrainJob job = resumable_job(scratch, "A");
  choose(job);
  EXPECT_EQ(run(job).global_step, 12);
  fs::copy(scratch / "A", scratch / "B", fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  rewind_to(scratch / "B", 5);
  TrainJob resumed = resumable_job(scratch, "B");
  choose(resumed);
  resumed.config.resume_from_checkpoint = "auto";
  EXPECT_EQ(run(resumed).global_step, 12);
  EXPECT_EQ(reproducible_metrics(scratch / "B"), reproducible_metrics(scratch / "A"));
  EXPECT_EQ(lines_with(scratch / "B", "loss").size(), 4u);
  expect_same_bytes(scratch / "A/adapter_model.safetensors", scratch / "B/adapter_model.safetensors");
  expect_same_bytes(scratch / "A/train_results.json", scratch / "B/train_results.json");
  for (const char* name : {"adapter_model.safetensors", "adapter_config.json", "optimizer.safetensors",
                           "trainer_state.json", "SHA256SUMS"}) {
    expect_same_bytes(scratch / "A/checkpoint-12" / name, scratch / "B/checkpoint-12" / name);
  }
  EXPECT_FALSE(fs::exists(scratch / "B/checkpoint-10.tmp"));
  // A finished run resumes to itself.
  EXPECT_EQ(run(resumed).global_step, 12);
  EXPECT_EQ(reproducible_metrics(scratch / "B"), reproducible_metrics(scratch / "A"));
}

TEST(Resume, IsBitExact) {
  expect_bit_exact_resume([](TrainJob&) {});
}

TEST(Resume, IsBitExactWith8BitMomentsAndTwoRates) {
  expect_bit_exact_resume([](TrainJob& job) {
    job.lora.r = 32;  // the A factors reach 4096 elements, bitsandbytes' least for 8 bits; some B factors do not
    job.config.optim = "adamw_bnb_8bit";
    job.config.loraplus_lr_ratio = 4;
  });
}

TEST(Resume, IsBitExactWithDoraAndPatterns) {
  expect_bit_exact_resume([](TrainJob& job) {
    job.lora.use_dora = true;
    job.lora.layers_to_transform = {1, 2};
    job.lora.rank_pattern = {{"v_proj", 2}};
    job.lora.alpha_pattern = {{"layers.1.mlp.down_proj", 4}};
  });
}

TEST(Resume, IsBitExactOverAQuantisedBase) {
  expect_bit_exact_resume([](TrainJob& job) {
    job.base.quantization.load_in_4bit = true;
    job.base.quantization.bnb_4bit_use_double_quant = true;
  });
}

TEST(Resume, IsBitExactFromAStartByTheWeights) {
  for (const char* start : {"pissa", "pissa_niter_2", "olora"}) {
    SCOPED_TRACE(start);
    expect_bit_exact_resume([&](TrainJob& job) {
      job.lora.init_lora_weights = start;
      job.lora.rank_pattern = {{"v_proj", 2}};
      job.lora.use_rslora = true;
      job.base.quantization.load_in_4bit = std::string(start) == "olora";
    });
  }
}

TEST(Resume, AnotherDirectoryGoesOnFromAnExplicitCheckpoint) {
  const support::TemporaryDirectory scratch;
  write_random_dataset(scratch / "DS", 22);
  run(resumable_job(scratch, "A"));
  TrainJob resumed = resumable_job(scratch, "C");
  resumed.config.resume_from_checkpoint = (scratch / "A/checkpoint-10").string();
  run(resumed);
  expect_same_bytes(scratch / "A/adapter_model.safetensors", scratch / "C/adapter_model.safetensors");
  const auto resumed_lines = lines_with(scratch / "C", "loss"), lines = lines_with(scratch / "A", "loss");
  ASSERT_EQ(resumed_lines.size(), 1u);
  // The step alone does not say it: no line before this one is in C.
  EXPECT_EQ(resumed_lines[0].at("num_steps"), lines.back().at("num_steps"));
  std::int64_t num_steps = 0;
  for (const core::Json& line : lines) num_steps += line.at("num_steps").get<std::int64_t>();
  EXPECT_EQ(num_steps, 12);
  EXPECT_LT(resumed_lines[0].at("num_steps").get<std::int64_t>(), 12);
}

// run.sh and slurm.sbatch start such a run again with the same options, wherever it ended.
TEST(Resume, AnAttemptThatEndedBeforeItsFirstCheckpointIsNoOtherRun) {
  const support::TemporaryDirectory scratch;
  write_random_dataset(scratch / "DS", 22);
  run(resumable_job(scratch, "A"));
  fs::create_directory(scratch / "C");
  for (const char* name : {"config.cfg", "metrics.jsonl", "events.out.tfevents.1.host.2"})
    write_text(scratch / "C" / name, "");
  TrainJob again = resumable_job(scratch, "C");
  again.config.resume_from_checkpoint = (scratch / "A/checkpoint-10").string();
  run(again);
  expect_same_bytes(scratch / "A/adapter_model.safetensors", scratch / "C/adapter_model.safetensors");

  for (const char* name : {"adapter_model.safetensors", "checkpoint-3"}) {
    const fs::path other = scratch / (std::string("with-") + name);
    fs::create_directory(other);
    write_text(other / "config.cfg", "");
    write_text(other / name, "trained weights");
    again.config.output_dir = other.string();
    const std::string message = support::message_of<core::UserError>([&] { run(again); });
    EXPECT_NE(message.find("already holds a run"), std::string::npos) << name << ": " << message;
    EXPECT_EQ(core::read_file(other / name), "trained weights");
  }
}

TEST(Resume, RefusesAnotherRunByNamingTheDifference) {
  const support::TemporaryDirectory scratch;
  write_random_dataset(scratch / "DS", 22);
  run(resumable_job(scratch, "A"));
  write_random_dataset(scratch / "DS2", 23);
  const std::vector<std::pair<std::string, std::function<void(TrainJob&)>>> changes{
      {"learning_rate: the checkpoint has 0.005, this run 0.001", [](TrainJob& j) { j.config.learning_rate = 1e-3; }},
      {"num_steps: the checkpoint has 12, this run 13", [](TrainJob& j) { j.config.max_steps = 13; }},
      {"give global_batch_size = 4", [](TrainJob& j) { j.config.per_device_train_batch_size = 2; }},
      {"lora_r", [](TrainJob& j) { j.lora.r = 8; }},
      {"target_modules", [](TrainJob& j) { j.lora.target_modules = {"q_proj"}; }},
      {"rank_pattern",
       [](TrainJob& j) {
         j.lora.rank_pattern = {{"q_proj", 2}};
       }},
      {"alpha_pattern",
       [](TrainJob& j) {
         j.lora.alpha_pattern = {{"q_proj", 2}};
       }},
      {"layers_to_transform", [](TrainJob& j) { j.lora.layers_to_transform = {0}; }},
      {"exclude_modules", [](TrainJob& j) { j.lora.exclude_modules = {"q_proj"}; }},
      {"use_dora", [](TrainJob& j) { j.lora.use_dora = true; }},
      {"init_lora_weights", [](TrainJob& j) { j.lora.init_lora_weights = "gaussian"; }},
      {"init_lora_weights", [](TrainJob& j) { j.lora.init_lora_weights = "pissa"; }},
      {"dtype", [](TrainJob& j) { j.base.dtype = "bfloat16"; }},
      {"base_model_storage: the checkpoint has \"dense\"",
       [](TrainJob& j) { j.base.quantization.load_in_4bit = true; }},
      {"optim: the checkpoint has \"adamw_torch\", this run \"adamw_8bit\"",
       [](TrainJob& j) { j.config.optim = "adamw_8bit"; }},
      {"resume_with_changed = optim",
       [](TrainJob& j) { j.config.optim = "adamw_8bit", j.config.resume_with_changed = {"optim"}; }},
      {"loraplus_lr_ratio: the checkpoint has 0.0, this run 16", [](TrainJob& j) { j.config.loraplus_lr_ratio = 16; }},
      {"seed", [](TrainJob& j) { j.config.seed = 1; }},
      {"dataset_fingerprint", [&](TrainJob& j) { j.config.dataset = (scratch / "DS2").string(); }},
      {"base_model_fingerprint", [](TrainJob& j) { j.base.model_name_or_path = "random:stories260k"; }},
  };
  for (const auto& [expected, change] : changes) {
    TrainJob job = resumable_job(scratch, "A");
    job.config.resume_from_checkpoint = "last";
    change(job);
    const std::string message = support::message_of<core::UserError>([&] { run(job); });
    EXPECT_NE(message.find(expected), std::string::npos) << "expected " << expected << ", message: " << message;
  }
}

TEST(Resume, ACheckpointWithoutAWordOnLoraPlusHadNone) {
  const core::Json saved{{"seed", 1}};
  const std::filesystem::path path = "OUT/checkpoint-1";
  EXPECT_TRUE(require_same_identity(saved, {{"seed", 1}, {"loraplus_lr_ratio", 0.0}}, path, {}).empty());
  const core::Json now{{"seed", 1}, {"loraplus_lr_ratio", 16.0}};
  EXPECT_THROW(require_same_identity(saved, now, path, {}), core::UserError);
  EXPECT_EQ(require_same_identity(saved, now, path, {"loraplus_lr_ratio"}).size(), 1u);
}

// Checkpoints from before these options: their runs did not use them.
TEST(Resume, OptionsThatACheckpointDoesNotKnowWereNotUsed) {
  const core::Json plain{
      {"lora_r", 4}, {"use_dora", false}, {"init_lora_weights", "true"}, {"alpha_pattern", core::Json::array()}};
  core::Json other = plain;
  other["alpha_pattern"] = model::LoraPattern<double>{{"q_proj", 2}};
  const core::Json old{{"lora_r", 4}};
  EXPECT_TRUE(require_same_identity(old, plain, "checkpoint-1", {}).empty());
  const std::string message =
      support::message_of<core::UserError>([&] { require_same_identity(old, other, "checkpoint-1", {}); });
  EXPECT_NE(message.find("alpha_pattern"), std::string::npos) << message;
}

TEST(Resume, TakesTheDifferencesThatAreNamed) {
  const support::TemporaryDirectory scratch;
  write_random_dataset(scratch / "DS", 22);
  run(resumable_job(scratch, "A"));
  TrainJob job = resumable_job(scratch, "A");
  job.config.resume_from_checkpoint = "last";
  job.config.max_steps = 14;
  job.config.global_batch_size = 3;
  job.config.learning_rate = 1e-3;
  job.config.resume_with_changed = {"num_steps", "global_batch_size"};
  std::string message = support::message_of<core::UserError>([&] { run(job); });
  EXPECT_NE(message.find("learning_rate"), std::string::npos) << message;
  EXPECT_EQ(message.find("num_steps: "), std::string::npos) << message;
  job.config.resume_with_changed.push_back("learning_rate");
  EXPECT_EQ(run(job).global_step, 14);
  // 12 steps of 4 out of 22 end 2 epochs: 44 examples; two steps of 3 follow.
  const core::Json results = core::read_json_file(scratch / "A/train_results.json");
  EXPECT_EQ(results["samples_consumed"], 50);

  job.config.resume_with_changed = {"lora_r"};
  message = support::message_of<core::UserError>([&] { run(job); });
  EXPECT_NE(message.find("start a new run with adapter_name_or_path"), std::string::npos) << message;
  job.config.resume_with_changed = {"learning_rat"};
  message = support::message_of<core::UserError>([&] { run(job); });
  EXPECT_NE(message.find("learning_rat is not known, expected some of"), std::string::npos) << message;
  job.config.resume_with_changed = {};
  job.config.max_steps = 5;
  job.config.resume_with_changed = {"num_steps", "global_batch_size", "learning_rate"};
  message = support::message_of<core::UserError>([&] { run(job); });
  EXPECT_NE(message.find("14 steps behind it, this run shall have only 5"), std::string::npos) << message;
}

TEST(Resume, TheSpikeGuardRemembers) {
  const support::TemporaryDirectory scratch;
  write_random_dataset(scratch / "DS", 22);
  TrainJob job = tiny_job(scratch / "DS", scratch / "A");
  job.config.max_steps = 150;
  job.config.save_steps = 135;
  job.config.learning_rate = 1e-6;   // so the losses only scatter,
  job.config.skip_update_lossz = 1;  // and one in six lies above
  job.config.max_skipped_steps = 100;
  const TrainResult whole = run(job);
  EXPECT_GT(whole.num_skipped_steps, 0);
  EXPECT_LT(whole.num_skipped_steps, 22) << "none of the first 128";
  job.config.output_dir = (scratch / "B").string();
  job.config.resume_from_checkpoint = (scratch / "A/checkpoint-135").string();
  EXPECT_EQ(run(job).num_skipped_steps, whole.num_skipped_steps);
  expect_same_bytes(scratch / "A/adapter_model.safetensors", scratch / "B/adapter_model.safetensors");
}

TEST(Resume, KeepsTheGlobalBatchOnAnotherNumberOfRanks) {
  const SavedBatch saved{.start = {},
                         .per_device_train_batch_size = 4,
                         .gradient_accumulation_steps = 2,
                         .global_batch_size = 16,
                         .world_size = 2};
  TrainConfig config;
  config.per_device_train_batch_size = 4;
  config.gradient_accumulation_steps = 2;
  EXPECT_EQ(resumed_global_batch_size(config, 2, saved), 16);
  EXPECT_EQ(resumed_global_batch_size(config, 1, saved), 16);
  EXPECT_EQ(resumed_global_batch_size(config, 8, saved), 16);
  config.gradient_accumulation_steps = 1;  // asked for something else: the identity check refuses it
  EXPECT_EQ(resumed_global_batch_size(config, 2, saved), 8);
  config.global_batch_size = 24;
  EXPECT_EQ(resumed_global_batch_size(config, 2, saved), 24);
}

TEST(Resume, ASignalSavesStopsAndTheRunGoesOn) {
  const support::TemporaryDirectory scratch;
  write_random_dataset(scratch / "DS", 22);
  TrainJob job = tiny_job(scratch / "DS", scratch / "A");
  job.config.max_steps = 1'000'000;
  job.config.save_strategy = "no";
  job.config.resume_from_checkpoint = "auto";
  std::int64_t last_step = 0;
  for (int signal_number : {SIGUSR1, SIGTERM}) {
    // The metrics log opens when the loop is about to start; the handlers are in place soon after.
    std::thread sender([&] {
      const auto lines = [&] {
        return fs::exists(scratch / "A/metrics.jsonl") ? lines_with(scratch / "A", "loss").size() : 0;
      };
      const size_t before = lines();
      while (lines() < before + 2) std::this_thread::sleep_for(std::chrono::milliseconds(20));
      ::kill(::getpid(), signal_number);
    });
    const TrainResult result = run(job);
    sender.join();
    EXPECT_TRUE(result.stopped_by_signal);
    EXPECT_GT(result.global_step, last_step);
    last_step = result.global_step;
    EXPECT_EQ(damage_of(scratch / "A" / checkpoint_name(last_step)), std::nullopt);
    EXPECT_EQ(fs::read_symlink(scratch / "A/last"), checkpoint_name(last_step));
    EXPECT_FALSE(fs::exists(scratch / "A/adapter_model.safetensors")) << "a stopped run has no final adapter";
  }
}

}  // namespace
}  // namespace allreco::train
