#include "train/train_step.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <span>

#include "core/check.h"
#include "core/random.h"
#include "train/clip.h"
#include "train/shard_sums.h"

namespace allreco::train {
namespace {

class Stopwatch {
 public:
  double elapsed_ms() const {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace

TrainStep::TrainStep(const StepContext& context, const TrainConfig& config, const Sharding& sharding,
                     const Schedule& schedule)
    : context_(context),
      config_(config),
      schedule_(schedule),
      sharding_(sharding),
      gradients_(context.communicator, context.store, sharding.count, config.sum_order(), config.overlap_grad_reduce) {
  // Ranks that wait see it first: they know who is missing.
  const double patience = context.session.world_size() > 1 ? 2 : 1;
  if (context.store.parameters().is_cuda()) stall_guard_.emplace(patience * config.ddp_timeout, context.session.rank());
}

StepReport TrainStep::run(std::int64_t step, bool stop_requested) {
  const Stopwatch watch;
  StepReport report;
  // 1. Who computes what: every rank knows, from the offsets alone.
  const StepPlan plan = context_.batches.next_step();
  report.times.data_wait_ms = watch.elapsed_ms();
  report.tokens = plan.tokens;
  report.supervised_tokens = plan.supervised_tokens;
  report.learning_rate = schedule_.at(step);
  // 2. Forward and backward, shard by shard; under the last one the reducer already sums finished layers over the
  // ranks.
  context_.session.enter_phase(step + 1, "forward and backward");
  context_.store.zero_gradients();
  const LocalResult local = run_shards(plan, step, report.times);
  if (stall_guard_) stall_guard_->rest();
  // 3. The rest of the gradients.
  context_.session.enter_phase(step + 1, "summing gradients");
  gradients_.finish();
  report.times.communication_exposed_ms = gradients_.exposed_ms();
  // 4. One small sum agrees on errors, on stopping and on the loss: each shard's has a place of its own, so that the
  // sum over ranks adds zeros only and is exact.
  std::vector<double> totals(static_cast<size_t>(sharding_.num_shards) + 2);
  totals[0] = local.failure ? 1.0 : 0.0;
  totals[1] = stop_requested ? 1.0 : 0.0;
  std::copy(local.nll.begin(), local.nll.end(), totals.begin() + 2 + sharding_.first);
  context_.session.all_sum(totals);
  if (totals[0] > 0) {
    context_.session.together("computing the step's gradients", [&] {
      if (local.failure) std::rethrow_exception(local.failure);
    });
  }
  report.loss = tree_sum(std::span(totals).subspan(2)) / static_cast<double>(plan.supervised_tokens);
  report.stop_requested = totals[1] > 0;
  // 5. Clip, update, and cast for the next forward.
  context_.session.enter_phase(step + 1, "optimiser");
  if (stall_guard_) stall_guard_->begin(step + 1, "the optimiser");
  const Stopwatch updating;
  update(step, report);
  report.times.optimizer_ms = updating.elapsed_ms();
  if (stall_guard_) stall_guard_->rest();
  report.times.step_ms = watch.elapsed_ms();
  return report;
}

TrainStep::LocalResult TrainStep::run_shards(const StepPlan& plan, std::int64_t step, StepTimes& times) {
  model::TrainPass pass;
  pass.gradient_scale = 1 / static_cast<double>(plan.supervised_tokens);
  pass.dropout_key = core::mix_key(config_.seed, {core::key_of("dropout"), static_cast<std::uint64_t>(step)});
  pass.gradient_checkpointing = config_.gradient_checkpointing;
  pass.report = pass_report_;
  LocalResult local;
  try {
    for (size_t shard = 0; shard + 1 < plan.shards.size(); ++shard) {
      local.nll.push_back(run_micro_batches(plan.shards[shard], step, pass, {}, times));
      gradients_.end_shard();
    }
    const auto layer_done = [this](std::int64_t layer) { gradients_.layer_done(layer); };
    local.nll.push_back(run_micro_batches(plan.shards.back(), step, pass, layer_done, times));
  } catch (...) {
    if (gradients_.reducer_failed()) throw;
    local.failure = std::current_exception();  // the others are waiting in the reducer: take part, then tell them
  }
  gradients_.end_last_shard();
  return local;
}

double TrainStep::run_micro_batches(const data::MicroBatches& micro_batches, std::int64_t step, model::TrainPass pass,
                                    const std::function<void(std::int64_t)>& layer_done, StepTimes& times) {
  double nll = 0;
  for (size_t m = 0; m < micro_batches.size(); ++m) {
    if (m + 1 == micro_batches.size()) pass.layer_done = layer_done;
    nll += forward_backward(step, pass, times);
  }
  return nll;
}

double TrainStep::forward_backward(std::int64_t step, const model::TrainPass& pass, StepTimes& times) {
  const Stopwatch waiting;
  const MicroBatch next = context_.batches.next();
  times.data_wait_ms += waiting.elapsed_ms();
  if (!next.batch) return 0;
  const Stopwatch computing;
  if (stall_guard_) stall_guard_->begin(step + 1, "forward and backward");
  const double nll = context_.decoder.forward_backward(*next.batch, pass);
  times.compute_ms += computing.elapsed_ms();
  if (stall_guard_) stall_guard_->rest();  // the next examples may take their time
  return nll;
}

void TrainStep::update(std::int64_t step, StepReport& report) {
  const at::Tensor& gradients = context_.store.gradients();
  report.grad_norm = global_norm(gradients);
  report.skip_reason = reason_to_skip(report);
  if (report.skipped()) return;
  context_.optimizer.step(gradients, report.learning_rate, clip_factor(report.grad_norm, config_.max_grad_norm));
  if (!all_finite(context_.store.parameters())) {  // the same bits on every rank
    core::fault(
        "step {} made the adapter's parameters NaN or infinite (loss {:g}, gradient norm {:g}, learning rate {:g}): "
        "lower learning_rate, set max_grad_norm, warm up longer, or use dtype = float32",
        step + 1, report.loss, report.grad_norm, report.learning_rate);
  }
  context_.store.refresh_compute_copy();
}

// Both numbers are global and have the same bits everywhere, so every rank decides alike.
std::string TrainStep::reason_to_skip(const StepReport& report) {
  if (!std::isfinite(report.loss)) return fmt::format("its loss is {}", report.loss);
  if (!std::isfinite(report.grad_norm)) return fmt::format("its gradient's norm is {}", report.grad_norm);
  return context_.spikes.check(config_.spike_limits(), report.loss, report.grad_norm);
}

}  // namespace allreco::train
