#include "train/config.h"

#include <cmath>

#include "core/check.h"

namespace allreco::train {
namespace {

void check_batch(const TrainConfig& c) {
  if (c.global_batch_size > 0 && c.gradient_accumulation_steps != 1) {
    core::user_error(
        "gradient_accumulation_steps = {} with global_batch_size = {}: the number of micro-batches follows from the "
        "global batch size; leave gradient_accumulation_steps at 1",
        c.gradient_accumulation_steps, c.global_batch_size);
  }
}

void check_schedule(const TrainConfig& c) {
  const ScheduleType type = schedule_type_from_name(c.lr_scheduler_type);
  if (c.warmup_steps > 0 && c.warmup_ratio > 0) {
    core::user_error("warmup_steps = {} and warmup_ratio = {}: give one of them", c.warmup_steps, c.warmup_ratio);
  }
  if (type == ScheduleType::constant && (c.warmup_steps > 0 || c.warmup_ratio > 0)) {
    core::user_error("lr_scheduler_type = constant has no warm-up: use constant_with_warmup, or remove warmup_{}",
                     c.warmup_steps > 0 ? "steps" : "ratio");
  }
  const bool has_min_lr = c.min_lr != -1;
  const bool has_min_lr_rate = c.min_lr_rate != -1;
  if (type != ScheduleType::cosine_with_min_lr) {
    if (has_min_lr || has_min_lr_rate) {
      core::user_error("min_lr{} goes with lr_scheduler_type = cosine_with_min_lr, not with {}",
                       has_min_lr ? "" : "_rate", c.lr_scheduler_type);
    }
    return;
  }
  if (has_min_lr == has_min_lr_rate) {
    core::user_error("lr_scheduler_type = cosine_with_min_lr needs min_lr or min_lr_rate, and not both");
  }
  if (has_min_lr && c.min_lr > c.learning_rate)
    core::user_error("min_lr = {} is above learning_rate = {}, the peak", c.min_lr, c.learning_rate);
}

void check_best_model(const TrainConfig& c) {
  if (c.early_stopping_patience > 0 && c.eval_strategy == "no")
    core::user_error("early_stopping_patience = {} needs eval_strategy = steps or epoch", c.early_stopping_patience);
  if (!c.load_best_model_at_end) return;
  if (c.save_strategy == "no" || c.eval_strategy != c.save_strategy) {
    core::user_error(
        "load_best_model_at_end needs the same eval_strategy and save_strategy, steps or epoch: found eval_strategy = "
        "{}, save_strategy = {}",
        c.eval_strategy, c.save_strategy);
  }
  if (c.save_strategy == "steps" && c.save_steps % c.eval_interval() != 0) {
    core::user_error("load_best_model_at_end needs save_steps = {} to be a multiple of eval_steps = {}", c.save_steps,
                     c.eval_interval());
  }
}

void check_output(const TrainConfig& c) {
  if (c.overwrite_output_dir && !c.resume_from_checkpoint.empty()) {
    core::user_error(
        "overwrite_output_dir would delete what resume_from_checkpoint = {} goes on from: give one of them",
        c.resume_from_checkpoint);
  }
  if (!c.resume_with_changed.empty() && c.resume_from_checkpoint.empty()) {
    core::user_error("resume_with_changed goes with resume_from_checkpoint, which is not given");
  }
  if ((c.virtual_shards & (c.virtual_shards - 1)) != 0)
    core::user_error("virtual_shards = {}: expected a power of two", c.virtual_shards);
}

}  // namespace

void validate(const TrainConfig& config) {
  if (config.dataset.empty()) core::user_error("dataset is missing: give the directory that `allreco prepare` wrote");
  if (config.output_dir.empty()) core::user_error("output_dir is missing: give a directory for the run's results");
  core::check_options(config);
  check_batch(config);
  check_schedule(config);
  check_output(config);
  check_best_model(config);
}

Schedule TrainConfig::schedule(std::int64_t num_steps) const {
  Schedule schedule;
  schedule.type = schedule_type_from_name(lr_scheduler_type);
  schedule.learning_rate = learning_rate;
  schedule.num_training_steps = num_steps;
  schedule.num_warmup_steps = warmup_steps > 0
                                  ? warmup_steps
                                  : static_cast<std::int64_t>(std::ceil(static_cast<double>(num_steps) * warmup_ratio));
  if (min_lr_rate != -1) schedule.min_lr_rate = min_lr_rate;
  if (min_lr != -1) schedule.min_lr_rate = min_lr / learning_rate;
  return schedule;
}

}  // namespace allreco::train
