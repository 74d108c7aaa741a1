#include "train/training_run.h"

#include <ATen/Parallel.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "core/check.h"
#include "core/files.h"
#include "core/host.h"
#include "core/log.h"
#include "eval/training_metrics.h"
#include "model/device.h"
#include "model/lora/adapter.h"
#include "train/checkpoint.h"
#include "train/clip.h"
#include "train/early_stopping.h"
#include "train/output_dir.h"
#include "train/replica_check.h"

namespace allreco::train {
namespace {

std::int64_t peak_rss_bytes() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);  // cannot fail with these arguments
  return std::int64_t{usage.ru_maxrss} * 1024;
}

/// What speeds are to be compared with.
core::Json machine_of_rank_0(at::Device device) {
  return {{"cpu", core::cpu_model()},
          {"cores", std::thread::hardware_concurrency()},
          {"threads_per_rank", at::get_num_threads()},
          {"device", device.str()}};
}

BatchSource::Options batch_options(const TrainConfig& config, at::Device device, std::int64_t first_step,
                                   std::int64_t end_step) {
  const std::int64_t workers = config.dataloader_num_workers;
  return {.first_step = first_step,
          .end_step = end_step,
          .num_workers = workers < 0 ? (device.is_cuda() ? 1 : 0) : workers,
          .device = device,
          .pinned = config.dataloader_pin_memory && device.is_cuda()};
}

double mean(double sum, std::int64_t count) { return count > 0 ? sum / static_cast<double>(count) : 0; }

}  // namespace

TrainingRun::TrainingRun(const RunContext& context, TrainerState state)
    : context_(context),
      config_(context.job.config),
      output_dir_(config_.output_dir),
      identity_(run_identity(config_, context.inputs.lora, context.plan, context.inputs.train_data.info(),
                             context.inputs.base)),
      state_(std::move(state)),
      decoder_(context.inputs.base.config, context.inputs.base.weights, &context.store),
      batches_(
          context.inputs.train_data,
          [planner = StepPlanner(context.inputs.train_data, context.inputs.base.config, config_, context.plan,
                                 context.sharding)](std::int64_t step) { return planner.plan(step); },
          batch_options(config_, context.inputs.base.weights.device(), state_.global_step, context.plan.num_steps)),
      train_step_(
          {context.session, context.communicator, batches_, context.store, decoder_, context.optimizer, state_.spikes},
          config_, context.sharding, config_.schedule(context.plan.num_steps)),
      log_(output_dir_, state_.global_step, context.plan.num_steps, context.session.is_leader()),
      last_replica_check_(state_.global_step),
      saved_best_metric_(state_.best_metric),
      saved_best_checkpoint_(state_.best_model_checkpoint) {
  if (context.session.is_leader()) writer_.emplace(output_dir_, config_.save_total_limit);
}

TrainResult TrainingRun::run() {
  bool stopped = false, gives_up = is_out_of_patience();  // a run that resumes may have ended so
  while (state_.global_step < context_.plan.num_steps && !stopped && !gives_up) {
    const StepReport report = train_step_.run(state_.global_step, context_.signals.received() != 0);
    account_for(report);
    check_replicas();
    stopped = report.stop_requested && state_.global_step < context_.plan.num_steps;
    const Due due = due_after(config_, context_.plan, state_.global_step);
    account_for_saves();
    if (due.log) write_log_line(report);
    std::optional<double> metric;
    if (due.evaluate) metric = evaluate();
    gives_up = due.evaluate && is_out_of_patience();
    if (due.save || stopped || (gives_up && config_.save_strategy != "no")) save(metric);
  }
  return finish(stopped);
}

bool TrainingRun::is_out_of_patience() const {
  const std::string key = "eval_" + config_.best_metric_name();
  const bool is_out = train::is_out_of_patience(
      metrics_in(state_.log_history, key),
      {config_.early_stopping_patience, config_.early_stopping_threshold, config_.more_is_better()});
  if (is_out && context_.session.is_leader())
    core::log_info("step {}: {} has not gained for {} evaluations (early_stopping_patience): training ends",
                   state_.global_step, key, config_.early_stopping_patience);
  return is_out;
}

void TrainingRun::account_for(const StepReport& report) {
  ++state_.global_step;
  state_.window.add(report);
  if (report.skipped()) {
    ++state_.num_skipped_steps;
    ++state_.num_skipped_in_a_row;
    if (context_.session.is_leader()) {
      core::log_warning("step {} is skipped: {}", state_.global_step, report.skip_reason);
    }
    if (state_.num_skipped_in_a_row >= config_.max_skipped_steps) {
      core::fault(
          "{} steps in a row were skipped (max_skipped_steps), up to step {}, in which {}: lower learning_rate, use "
          "dtype = float32, raise skip_update_lossz or skip_update_gradz where they are set, or check the model's "
          "weights",
          state_.num_skipped_in_a_row, state_.global_step, report.skip_reason);
    }
    return;
  }
  state_.num_skipped_in_a_row = 0;
  state_.loss_sum += report.loss;
  ++state_.num_losses;
  const double seconds = report.times.step_ms / 1000;
  log_.step_done({.step = state_.global_step,
                  .epoch = context_.plan.epoch_after(state_.global_step),
                  .loss = report.loss,
                  .tokens_per_second = static_cast<double>(report.tokens) / seconds});
}

void TrainingRun::check_replicas() {
  const std::int64_t interval = config_.replica_check_steps;
  if (context_.session.world_size() == 1 || interval == 0 || state_.global_step % interval != 0) return;
  require_same_replicas(context_.session, context_.store.parameters(), state_.global_step, last_replica_check_);
  last_replica_check_ = state_.global_step;
}

void TrainingRun::write_log_line(const StepReport& report) {
  const LogWindow& window = state_.window;
  const std::int64_t peak_rss = context_.session.all_max(peak_rss_bytes());
  core::Json line;
  line["step"] = state_.global_step;
  line["epoch"] = context_.plan.epoch_after(state_.global_step);
  line["loss"] = window.num_losses > 0 ? core::Json(mean(window.loss_sum, window.num_losses)) : core::Json();
  line["grad_norm"] = report.grad_norm;
  line["learning_rate"] = report.learning_rate;
  note_history(line);
  line["num_steps"] = window.num_steps;
  line["tokens"] = window.tokens;
  line["supervised_tokens"] = window.supervised_tokens;
  line["tokens_per_second"] = static_cast<double>(window.timed_tokens) / (window.times.step_ms / 1000);
  line["step_ms"] = mean(window.times.step_ms, window.num_timed_steps);
  line["compute_ms"] = mean(window.times.compute_ms, window.num_timed_steps);
  line["communication_exposed_ms"] = mean(window.times.communication_exposed_ms, window.num_timed_steps);
  line["data_wait_ms"] = mean(window.times.data_wait_ms, window.num_timed_steps);
  line["peak_rss_bytes"] = peak_rss;
  line["peak_gpu_bytes"] = model::peak_device_bytes(context_.inputs.base.weights.device());  // of rank 0
  if (state_.num_skipped_steps > 0) line["skipped_steps"] = state_.num_skipped_steps;
  if (state_.num_failed_saves > 0) line["failed_saves"] = state_.num_failed_saves;
  state_.window = {};
  context_.session.together("writing metrics.jsonl", [&] {
    require_in_place();
    log_.write(line);
  });
}

double TrainingRun::evaluate() {
  const auto start = std::chrono::steady_clock::now();
  const data::Dataset& split = *context_.inputs.eval_data;
  const eval::TrainingMetrics metrics =
      eval::training_metrics(context_.session, decoder_, split,
                             {.metric = config_.best_metric_name(),
                              .max_tokens_per_batch = config_.per_device_eval_batch_size * split.info().max_length,
                              .max_eval_samples = config_.max_eval_samples});
  core::Json line;
  line["step"] = state_.global_step;
  line["epoch"] = context_.plan.epoch_after(state_.global_step);
  line["eval_loss"] = metrics.loss.mean_nll();
  for (const auto& [name, value] : metrics.ranking) line["eval_" + name] = value;
  note_history(line);
  line["eval_perplexity"] = metrics.loss.perplexity();
  line["eval_supervised_tokens"] = metrics.loss.supervised_tokens;
  line["eval_runtime_ms"] = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  context_.session.together("writing metrics.jsonl", [&] {
    require_in_place();
    log_.write(line);
  });
  return metrics.value;
}

void TrainingRun::note_history(const core::Json& line) { state_.log_history.push_back(line); }

bool TrainingRun::is_best(double metric) const {
  if (!std::isfinite(metric)) return false;
  if (!state_.best_metric) return true;
  return config_.more_is_better() ? metric > *state_.best_metric : metric < *state_.best_metric;
}

void TrainingRun::require_in_place() const {
  if (context_.directory != nullptr) context_.directory->require_in_place();
}

model::AdapterOrigin TrainingRun::origin() const { return {context_.inputs.base.name, context_.inputs.base.storage}; }

// All ranks hold the same bits, so all decide alike.
void TrainingRun::require_finite() const {
  const std::vector<at::Tensor> state = context_.optimizer.state();
  if (all_finite(context_.store.parameters()) && std::all_of(state.begin(), state.end(), all_finite)) return;
  core::fault(
      "after step {} the adapter or its optimiser's moments are not finite (NaN or infinite), so nothing is saved: "
      "lower learning_rate ({:g}), set max_grad_norm, or use dtype = float32; resume_from_checkpoint = auto goes on "
      "from the newest checkpoint",
      state_.global_step, config_.learning_rate);
}

/// A run that is shorter than max_skipped_steps would end well else, with the adapter that it began with.
void TrainingRun::require_learnt() const {
  if (state_.global_step == 0 || state_.num_skipped_steps < state_.global_step) return;
  core::fault(
      "all {} steps were skipped, so nothing was learnt and no adapter is written. The warnings above say why: check "
      "the weights of the model, lower learning_rate, or use dtype = float32",
      state_.global_step);
}

void TrainingRun::save(std::optional<double> metric) {
  require_finite();
  context_.session.together("saving a checkpoint", [&] { require_in_place(); });
  const bool best = metric && is_best(*metric);
  if (best) {
    state_.best_metric = metric;
    state_.best_model_checkpoint = checkpoint_name(state_.global_step);
  }
  context_.session.enter_phase(state_.global_step, "saving a checkpoint");
  if (!writer_) return;
  writer_->save({.step = state_.global_step,
                 .contents = snapshot_of(context_.store, context_.optimizer, origin()),
                 .state = to_json(state_, config_, context_.plan, identity_, context_.session.world_size()),
                 .best = best,
                 .metric = metric.value_or(0)});
}

void TrainingRun::account_for_saves() {
  if (!writer_) return;
  for (const SaveOutcome& outcome : writer_->take_outcomes()) {
    const std::string name = checkpoint_name(outcome.step);
    last_save_failed_ = !outcome.error.empty();
    if (!last_save_failed_) {
      log_.say(fmt::format("saved {}{}", (output_dir_ / name).string(), outcome.best ? ", the best so far" : ""));
      if (!outcome.best) continue;
      saved_best_checkpoint_ = name;
      saved_best_metric_ = outcome.metric;
      continue;
    }
    ++state_.num_failed_saves;
    core::log_warning("saving {} failed, training goes on and tries again at the next save: {}", name, outcome.error);
    if (state_.best_model_checkpoint != name) continue;
    state_.best_model_checkpoint = saved_best_checkpoint_;
    state_.best_metric = saved_best_metric_;
  }
}

void TrainingRun::finish_saves(bool stopped) {
  context_.session.together("saving a checkpoint", [&] {
    if (!writer_) return;
    writer_->wait();
    require_in_place();
    account_for_saves();
    log_.finish();
    if (stopped && last_save_failed_) {
      core::user_error(
          "stopped by a signal, but the state of step {} could not be saved (see above): make room in {}, then resume "
          "with resume_from_checkpoint = auto from the newest checkpoint there",
          state_.global_step, output_dir_.string());
    }
  });
}

TrainResult TrainingRun::finish(bool stopped) {
  finish_saves(stopped);
  const TrainResult result{.stopped_by_signal = stopped,
                           .global_step = state_.global_step,
                           .train_loss = mean(state_.loss_sum, state_.num_losses),
                           .num_skipped_steps = state_.num_skipped_steps,
                           .best_metric = state_.best_metric,
                           .best_model_checkpoint = state_.best_model_checkpoint};
  if (!stopped) {
    require_finite();
    require_learnt();
    context_.session.together("writing the adapter", [&] {
      if (context_.session.is_leader()) write_results(result);
    });
  }
  return result;
}

void TrainingRun::write_results(const TrainResult& result) {
  require_in_place();
  if (config_.load_best_model_at_end) {
    if (result.best_model_checkpoint.empty()) {
      core::fault("load_best_model_at_end: no evaluation of this run gave a finite {}, so no checkpoint is the best",
                  config_.metric_for_best_model);
    }
    copy_adapter(output_dir_ / result.best_model_checkpoint, output_dir_);
  } else {
    model::save_adapter(output_dir_, context_.store, origin());
  }
  core::Json json;
  json["global_step"] = result.global_step;
  json["epoch"] = context_.plan.epoch_after(result.global_step);
  json["train_loss"] = result.train_loss;
  json["samples_consumed"] = context_.plan.samples_after(result.global_step);
  json["skipped_steps"] = result.num_skipped_steps;
  json["failed_saves"] = state_.num_failed_saves;
  json["best_metric"] = result.best_metric ? core::Json(*result.best_metric) : core::Json();
  json["best_model_checkpoint"] =
      result.best_model_checkpoint.empty() ? core::Json() : core::Json(result.best_model_checkpoint);
  json["world_size"] = context_.session.world_size();
  json["program_version"] = ALLRECO_VERSION;
  json["machine"] = machine_of_rank_0(context_.inputs.base.weights.device());
  core::write_json_file(output_dir_ / "train_results.json", json);
}

}  // namespace allreco::train
