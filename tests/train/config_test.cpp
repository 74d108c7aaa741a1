#include "train/config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <csignal>
#include <functional>

#include "core/check.h"
#include "core/stop_signals.h"
#include "support/message_of.h"
#include "train/due.h"
#include "train/files.h"

namespace allreco::train {
namespace {

TrainConfig valid_config() {
  TrainConfig config;
  config.dataset = "DS";
  config.output_dir = "OUT";
  return config;
}

TEST(TrainConfig, RefusesBadValuesAndCombinationsByName) {
  EXPECT_NO_THROW(validate(valid_config()));
  const std::vector<std::pair<std::string, std::function<void(TrainConfig&)>>> mistakes{
      {"dataset", [](TrainConfig& c) { c.dataset = ""; }},
      {"output_dir", [](TrainConfig& c) { c.output_dir = ""; }},
      {"per_device_train_batch_size = 0", [](TrainConfig& c) { c.per_device_train_batch_size = 0; }},
      {"max_steps", [](TrainConfig& c) { c.max_steps = 0; }},
      {"num_train_epochs = -1", [](TrainConfig& c) { c.num_train_epochs = -1; }},
      {"learning_rate = nan", [](TrainConfig& c) { c.learning_rate = std::nan(""); }},
      {"lr_scheduler_type = poly", [](TrainConfig& c) { c.lr_scheduler_type = "poly"; }},
      {"warmup_ratio = 1.5", [](TrainConfig& c) { c.warmup_ratio = 1.5; }},
      {"give one of them", [](TrainConfig& c) { c.warmup_ratio = 0.1, c.warmup_steps = 3; }},
      {"constant_with_warmup", [](TrainConfig& c) { c.lr_scheduler_type = "constant", c.warmup_steps = 3; }},
      {"min_lr_rate goes with", [](TrainConfig& c) { c.min_lr_rate = 0.1; }},
      {"needs min_lr or min_lr_rate", [](TrainConfig& c) { c.lr_scheduler_type = "cosine_with_min_lr"; }},
      {"optim = adamw_4bit", [](TrainConfig& c) { c.optim = "adamw_4bit"; }},
      {"loraplus_lr_ratio = -1", [](TrainConfig& c) { c.loraplus_lr_ratio = -1; }},
      {"loraplus_lr_ratio = nan", [](TrainConfig& c) { c.loraplus_lr_ratio = std::nan(""); }},
      {"loraplus_lr_ratio = inf", [](TrainConfig& c) { c.loraplus_lr_ratio = HUGE_VAL; }},
      {"num_train_epochs = 1e+300: expected a number, above 0", [](TrainConfig& c) { c.num_train_epochs = 1e300; }},
      {"adam_beta1 = 1: expected a number, at least 0 and below 1", [](TrainConfig& c) { c.adam_beta1 = 1; }},
      {"virtual_shards = 6: expected a power of two", [](TrainConfig& c) { c.virtual_shards = 6; }},
      {"min_lr = 0.5 is above learning_rate",
       [](TrainConfig& c) { c.lr_scheduler_type = "cosine_with_min_lr", c.min_lr = 0.5; }},
      {"adam_beta2", [](TrainConfig& c) { c.adam_beta2 = 1; }},
      {"max_grad_norm", [](TrainConfig& c) { c.max_grad_norm = -1; }},
      {"logging_steps = 0", [](TrainConfig& c) { c.logging_steps = 0; }},
      {"eval_strategy = always", [](TrainConfig& c) { c.eval_strategy = "always"; }},
      {"metric_for_best_model = rouge", [](TrainConfig& c) { c.metric_for_best_model = "rouge"; }},
      {"load_best_model_at_end", [](TrainConfig& c) { c.load_best_model_at_end = true; }},
      {"multiple of eval_steps = 3",
       [](TrainConfig& c) {
         c.load_best_model_at_end = true, c.eval_strategy = "steps", c.eval_steps = 3, c.save_steps = 4;
       }},
      {"overwrite_output_dir",
       [](TrainConfig& c) { c.overwrite_output_dir = true, c.resume_from_checkpoint = "auto"; }},
      {"gradient_accumulation_steps = 2",
       [](TrainConfig& c) { c.global_batch_size = 8, c.gradient_accumulation_steps = 2; }},
  };
  for (const auto& [expected, spoil] : mistakes) {
    TrainConfig config = valid_config();
    spoil(config);
    const std::string message = support::message_of<core::UserError>([&] { validate(config); });
    EXPECT_NE(message.find(expected), std::string::npos) << "expected " << expected << ", message: " << message;
  }
}

TEST(TrainConfig, StepsAndEpochsCountAsInTransformers) {
  TrainConfig config = valid_config();
  config.num_train_epochs = 2.5;
  // 10 examples in batches of 4: 3 steps an epoch, ceil(2.5 * 3) = 8 steps.
  const RunPlan plan = plan_run(config, 10, 4);
  EXPECT_EQ(plan.steps_per_epoch, 3);
  EXPECT_EQ(plan.num_steps, 8);
  EXPECT_DOUBLE_EQ(plan.epoch_after(1), 1.0 / 3);
  EXPECT_EQ(plan.epoch_after(3), 1.0);
  EXPECT_EQ(plan.epoch_after(6), 2.0);
  EXPECT_EQ(plan.samples_after(3), 10);  // the epoch's last batch is small
  EXPECT_EQ(plan.samples_after(5), 18);
  config.max_steps = 7;
  EXPECT_EQ(plan_run(config, 10, 4).num_steps, 7);
  config.warmup_ratio = 0.3;
  EXPECT_EQ(config.schedule(7).num_warmup_steps, 3);  // ceil(2.1)
  config.per_device_train_batch_size = 3;
  config.gradient_accumulation_steps = 5;
  EXPECT_EQ(configured_global_batch_size(config, 2), 30);
}

TEST(RunPlan, CountsThatDoNotFitAreRefused) {
  TrainConfig config = valid_config();
  config.num_train_epochs = 1e6;
  EXPECT_EQ(plan_run(config, 1000, 1).num_steps, 1'000'000'000);
  const auto refusal = [&](std::int64_t num_samples) {
    return support::message_of<core::UserError>([&] { plan_run(config, num_samples, 1); });
  };
  EXPECT_NE(refusal(1001).find("1001000000 steps: a run has at most 1000000000"), std::string::npos) << refusal(1001);
  EXPECT_NE(refusal(std::int64_t{1} << 50).find("steps"), std::string::npos);
  config.max_steps = 1'000'000'000;
  config.global_batch_size = 1'000'000'000;
  EXPECT_EQ(plan_run(config, 1'000'000'000, 1'000'000'000).num_steps, 1'000'000'000);
  const auto message = support::message_of<core::UserError>([&] { plan_run(config, 10'000'000'000, 10'000'000'000); });
  EXPECT_NE(message.find("give a smaller max_steps"), std::string::npos) << message;
}

TEST(RunPlan, IsTheSameWhereverARunGoesOn) {
  TrainConfig config = valid_config();
  config.num_train_epochs = 2.5;
  const RunPlan whole = plan_run(config, 10, 4);
  for (std::int64_t start = 0; start <= whole.num_steps; ++start) {
    const RunPlan rest = plan_run(config, 10, 4, {.step = start, .samples_consumed = whole.samples_after(start)});
    EXPECT_EQ(rest.num_steps, whole.num_steps);
    for (std::int64_t step = start; step <= whole.num_steps; ++step) {
      EXPECT_EQ(rest.samples_after(step), whole.samples_after(step)) << "from " << start << ", after " << step;
      EXPECT_EQ(rest.epoch_after(step), whole.epoch_after(step)) << "from " << start << ", after " << step;
      EXPECT_EQ(rest.ends_epoch(step), step % 3 == 0) << "from " << start << ", after " << step;
    }
  }
}

TEST(RunPlan, AnotherBatchSizeGoesOnAfterTheSamplesConsumed) {
  TrainConfig config = valid_config();
  config.num_train_epochs = 2;
  // Steps of 4 took 4 of 10 examples; steps of 3 take 3 and 3 to the epoch's end, then 3, 3, 3, 1.
  const RunPlan plan = plan_run(config, 10, 3, {.step = 1, .samples_consumed = 4});
  std::vector<std::int64_t> samples;
  for (std::int64_t step = 1; step <= 7; ++step) samples.push_back(plan.samples_after(step));
  EXPECT_EQ(samples, (std::vector<std::int64_t>{4, 7, 10, 13, 16, 19, 20}));
  EXPECT_EQ(plan.num_steps, 7);
  EXPECT_TRUE(plan.ends_epoch(3));
  EXPECT_EQ(plan.epoch_after(3), 1.0);
  EXPECT_EQ(plan.epoch_after(7), 2.0);
}

TEST(Due, FollowsTheStrategies) {
  TrainConfig config = valid_config();
  config.logging_steps = 4;
  config.logging_first_step = true;
  config.eval_strategy = "steps";  // eval_steps 0: as logging_steps
  config.save_strategy = "epoch";
  const RunPlan plan{.num_samples = 9, .global_batch_size = 3, .steps_per_epoch = 3, .num_steps = 7, .start = {}};
  std::string log, evaluate, save;
  for (std::int64_t step = 1; step <= plan.num_steps; ++step) {
    const Due due = due_after(config, plan, step);
    if (due.log) log += std::to_string(step);
    if (due.evaluate) evaluate += std::to_string(step);
    if (due.save) save += std::to_string(step);
  }
  EXPECT_EQ(log, "147");
  EXPECT_EQ(evaluate, "47");
  EXPECT_EQ(save, "367");
}

TEST(StopSignals, NoteAndRestore) {
  ASSERT_NE(std::signal(SIGUSR1, SIG_IGN), SIG_ERR);
  {
    const core::StopSignals signals;
    EXPECT_EQ(signals.received(), 0);
    std::raise(SIGUSR1);
    EXPECT_EQ(signals.received(), SIGUSR1);
  }
  EXPECT_EQ(std::signal(SIGUSR1, SIG_DFL), SIG_IGN) << "the former handler is back";
}

}  // namespace
}  // namespace allreco::train
