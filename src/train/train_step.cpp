#include "train/train_step.h"

#include <chrono>
#include <cmath>

#include "core/random.h"
#include "train/clip.h"

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

/// The flat gradient's slices in the order in which backward completes them.
std::vector<dist::GradientBucket> slices_in_backward_order(const model::LoraStore& store) {
  std::vector<dist::GradientBucket> slices;
  for (std::int64_t layer = store.num_layers() - 1; layer >= 0; --layer) {
    const auto [begin, end] = store.slice_of_layer(layer);
    slices.push_back({begin, end});
  }
  return slices;
}

}  // namespace

TrainStep::TrainStep(const StepParts& parts, const TrainConfig& config, const Schedule& schedule)
    : parts_(parts),
      config_(config),
      schedule_(schedule),
      reducer_(parts.session.communicator(), parts.store.gradients(), slices_in_backward_order(parts.store)) {}

StepReport TrainStep::run(std::int64_t step, bool stop_requested) {
  const Stopwatch watch;
  StepReport report;
  // 1. Who computes what: every rank knows, from the offsets alone.
  const StepPlan plan = parts_.planner.plan(step);
  report.tokens = plan.tokens;
  report.supervised_tokens = plan.supervised_tokens;
  report.learning_rate = schedule_.at(step);
  // 2. Forward and backward; under the last micro-batch the reducer already sums finished layers over the ranks.
  parts_.session.enter_phase(step + 1, "forward and backward");
  parts_.store.zero_gradients();
  const LocalResult local = run_micro_batches(plan, step, report.times);
  // 3. The rest of the gradients.
  parts_.session.enter_phase(step + 1, "summing gradients");
  reducer_.finish();
  report.times.communication_exposed_ms = reducer_.exposed_ms();
  // 4. One small sum agrees on the loss, on errors and on stopping.
  std::vector<double> totals{local.nll, local.failure ? 1.0 : 0.0, stop_requested ? 1.0 : 0.0};
  parts_.session.all_sum(totals);
  if (totals[1] > 0) {
    parts_.session.together("computing the step's gradients", [&] {
      if (local.failure) std::rethrow_exception(local.failure);
    });
  }
  report.loss = totals[0] / static_cast<double>(plan.supervised_tokens);
  report.stop_requested = totals[2] > 0;
  // 5. Clip, update, and cast for the next forward.
  parts_.session.enter_phase(step + 1, "optimiser");
  update(report);
  report.times.step_ms = watch.elapsed_ms();
  return report;
}

TrainStep::LocalResult TrainStep::run_micro_batches(const StepPlan& plan, std::int64_t step, StepTimes& times) {
  std::int64_t layers_done = 0;
  model::TrainPass pass;
  pass.gradient_scale = 1 / static_cast<double>(plan.supervised_tokens);
  pass.dropout_key = core::mix_key(config_.seed, {core::key_of("dropout"), static_cast<std::uint64_t>(step)});
  pass.gradient_checkpointing = config_.gradient_checkpointing;
  LocalResult local;
  try {
    for (size_t m = 0; m < plan.micro_batches.size(); ++m) {
      if (m + 1 == plan.micro_batches.size()) {
        pass.layer_done = [&](std::int64_t) { reducer_.layer_done(layers_done++); };
      }
      local.nll += forward_backward(plan.micro_batches[m], pass, times);
    }
  } catch (...) {
    local.failure = std::current_exception();  // the others are waiting in the reducer: take part, then tell them
  }
  while (layers_done < parts_.store.num_layers()) reducer_.layer_done(layers_done++);
  return local;
}

double TrainStep::forward_backward(const std::vector<std::int64_t>& samples, const model::TrainPass& pass,
                                   StepTimes& times) {
  const Stopwatch reading;
  model::PackedBatchBuilder builder;
  for (std::int64_t sample : samples) {
    if (parts_.dataset.num_supervised(sample) == 0) continue;  // adds nothing to loss or gradient
    const data::Example example = parts_.dataset.example(sample);
    builder.add_example(example.tokens, example.prompt_length, static_cast<std::uint64_t>(sample));
  }
  if (builder.empty()) return 0;
  const model::PackedBatch batch = builder.build();
  times.data_wait_ms += reading.elapsed_ms();
  const Stopwatch computing;
  const double nll = parts_.decoder.forward_backward(batch, pass);
  times.compute_ms += computing.elapsed_ms();
  return nll;
}

void TrainStep::update(StepReport& report) {
  const at::Tensor& gradients = parts_.store.gradients();
  report.grad_norm = global_norm(gradients);
  // Both numbers are global, so every rank decides alike.
  report.skipped = !std::isfinite(report.loss) || !std::isfinite(report.grad_norm);
  if (report.skipped) return;
  parts_.optimizer.step(gradients, report.learning_rate, clip_factor(report.grad_norm, config_.max_grad_norm));
  parts_.store.refresh_compute_copy();
}

}  // namespace allreco::train
