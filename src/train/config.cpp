#include "train/config.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <string_view>

#include "core/check.h"

namespace allreco::train {
namespace {

void check_at_least(const char* key, std::int64_t value, std::int64_t least) {
  if (value < least) core::user_error("{} = {}: expected a whole number of at least {}", key, value, least);
}

void check_range(const char* key, double value, double least, double most) {
  if (!(value >= least && value <= most)) core::user_error("{} = {}: expected {} to {}", key, value, least, most);
}

void check_one_of(const char* key, const std::string& value, std::initializer_list<std::string_view> allowed) {
  if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return;
  std::string list;
  for (std::string_view name : allowed) list += fmt::format("{}{}", list.empty() ? "" : ", ", name);
  core::user_error("{} = {}: expected one of {}", key, value, list);
}

void check_batch(const TrainConfig& c) {
  check_at_least("per_device_train_batch_size", c.per_device_train_batch_size, 1);
  check_at_least("gradient_accumulation_steps", c.gradient_accumulation_steps, 1);
  check_at_least("global_batch_size", c.global_batch_size, 0);
  if (c.global_batch_size > 0 && c.gradient_accumulation_steps != 1) {
    core::user_error(
        "gradient_accumulation_steps = {} with global_batch_size = {}: the number of micro-batches follows from the "
        "global batch size; leave gradient_accumulation_steps at 1",
        c.gradient_accumulation_steps, c.global_batch_size);
  }
  if (c.max_steps != -1) check_at_least("max_steps (or -1, for num_train_epochs)", c.max_steps, 1);
  if (c.max_steps == -1 && !(c.num_train_epochs > 0 && std::isfinite(c.num_train_epochs))) {
    core::user_error("num_train_epochs = {}: expected more than 0", c.num_train_epochs);
  }
  check_at_least("per_device_eval_batch_size", c.per_device_eval_batch_size, 1);
}

void check_schedule(const TrainConfig& c) {
  const ScheduleType type = schedule_type_from_name(c.lr_scheduler_type);
  if (!(c.learning_rate > 0 && std::isfinite(c.learning_rate))) {
    core::user_error("learning_rate = {}: expected more than 0", c.learning_rate);
  }
  check_at_least("warmup_steps", c.warmup_steps, 0);
  check_range("warmup_ratio", c.warmup_ratio, 0, 1);
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
  if (has_min_lr) check_range("min_lr", c.min_lr, 0, c.learning_rate);
  if (has_min_lr_rate) check_range("min_lr_rate", c.min_lr_rate, 0, 1);
}

void check_optimizer(const TrainConfig& c) {
  optimizer_type_from_name(c.optim);
  check_range("loraplus_lr_ratio", c.loraplus_lr_ratio, 0, 1e6);
  check_range("weight_decay", c.weight_decay, 0, 1e6);
  check_range("adam_beta1", c.adam_beta1, 0, 1 - 1e-9);
  check_range("adam_beta2", c.adam_beta2, 0, 1 - 1e-9);
  check_range("adam_epsilon", c.adam_epsilon, 0, 1);
  check_range("max_grad_norm", c.max_grad_norm, 0, 1e12);
  check_at_least("max_skipped_steps", c.max_skipped_steps, 0);
  // Beyond it no step would ever be skipped.
  check_range("skip_update_lossz", c.skip_update_lossz, 0, OutlierWindow::kLargestZ);
  check_range("skip_update_gradz", c.skip_update_gradz, 0, OutlierWindow::kLargestZ);
}

void check_best_model(const TrainConfig& c) {
  check_one_of("metric_for_best_model", c.metric_for_best_model, {"eval_loss"});
  if (!c.load_best_model_at_end) return;
  if (c.save_strategy == "no" || c.eval_strategy != c.save_strategy) {
    core::user_error(
        "load_best_model_at_end needs the same eval_strategy and save_strategy, steps or epoch: found eval_strategy = "
        "{}, "
        "save_strategy = {}",
        c.eval_strategy, c.save_strategy);
  }
  if (c.save_strategy == "steps" && c.save_steps % c.eval_interval() != 0) {
    core::user_error("load_best_model_at_end needs save_steps = {} to be a multiple of eval_steps = {}", c.save_steps,
                     c.eval_interval());
  }
}

void check_output(const TrainConfig& c) {
  check_at_least("logging_steps", c.logging_steps, 1);
  check_at_least("eval_steps", c.eval_steps, 0);
  check_at_least("save_steps", c.save_steps, 1);
  check_at_least("save_total_limit", c.save_total_limit, 0);
  check_one_of("eval_strategy", c.eval_strategy, {"no", "steps", "epoch"});
  check_one_of("save_strategy", c.save_strategy, {"no", "steps", "epoch"});
  if (c.overwrite_output_dir && !c.resume_from_checkpoint.empty()) {
    core::user_error(
        "overwrite_output_dir would delete what resume_from_checkpoint = {} goes on from: give one of them",
        c.resume_from_checkpoint);
  }
  if (!c.resume_with_changed.empty() && c.resume_from_checkpoint.empty()) {
    core::user_error("resume_with_changed goes with resume_from_checkpoint, which is not given");
  }
  check_range("ddp_timeout", c.ddp_timeout, 0.1, 1e9);
  if (c.virtual_shards < 1 || c.virtual_shards > 4096 || (c.virtual_shards & (c.virtual_shards - 1)) != 0)
    core::user_error("virtual_shards = {}: expected a power of two of at most 4096", c.virtual_shards);
}

}  // namespace

void validate(const TrainConfig& config) {
  if (config.dataset.empty()) core::user_error("dataset is missing: give the directory that `allreco prepare` wrote");
  if (config.output_dir.empty()) core::user_error("output_dir is missing: give a directory for the run's results");
  check_batch(config);
  check_schedule(config);
  check_optimizer(config);
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
