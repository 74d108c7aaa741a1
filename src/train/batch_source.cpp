#include "train/batch_source.h"

#include <c10/core/DeviceGuard.h>

#include <utility>

#include "core/check.h"

namespace allreco::train {

MicroBatch pack_micro_batch(const data::Dataset& dataset, const std::vector<std::int64_t>& samples) {
  model::PackedBatchBuilder builder;
  for (const std::int64_t sample : samples) {
    if (dataset.num_supervised(sample) == 0) continue;
    builder.add_example(dataset.tokens(sample), dataset.prompt_length(sample), static_cast<std::uint64_t>(sample));
  }
  return builder.empty() ? MicroBatch{} : MicroBatch{builder.build()};
}

BatchSource::BatchSource(const data::Dataset& dataset, PlanStep plan_step, const Options& options)
    : dataset_(dataset), plan_step_(std::move(plan_step)), options_(options), next_step_(options.first_step) {
  core::require(options.max_ready >= 1, "a batch source needs room for a micro-batch");
  if (options.num_workers > 0) thread_ = std::thread([this] { read_all(); });
}

BatchSource::~BatchSource() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

StepPlan BatchSource::next_step() { return thread_.joinable() ? take(ready_plans_) : plan_next_step(); }

MicroBatch BatchSource::next() { return thread_.joinable() ? take(ready_batches_) : read_next(); }

// What fails stays in front, so that it fails again at the next call.
StepPlan BatchSource::plan_next_step() {
  core::require(next_step_ < options_.end_step, "a batch source was asked for more steps than its run has");
  StepPlan plan = plan_step_(next_step_);
  ++next_step_;
  const data::MicroBatches all = plan.micro_batches();
  left_of_step_.assign(all.begin(), all.end());
  return plan;
}

MicroBatch BatchSource::read_next() {
  core::require(!left_of_step_.empty(), "a batch source was asked for more micro-batches than the step has");
  MicroBatch batch = pack_micro_batch(dataset_, left_of_step_.front());
  if (options_.pinned && batch.batch) batch.batch = batch.batch->pinned();
  left_of_step_.pop_front();
  return batch;
}

void BatchSource::read_all() {
  std::exception_ptr failure;
  try {
    // A new thread is on GPU 0, where pinning would start a context of its own.
    const c10::OptionalDeviceGuard on_device(options_.pinned ? std::optional(options_.device) : std::nullopt);
    while (next_step_ < options_.end_step) {
      if (!offer(ready_plans_, plan_next_step())) return;
      while (!left_of_step_.empty())
        if (!offer(ready_batches_, read_next())) return;
    }
  } catch (...) {
    failure = std::current_exception();  // take() throws it
  }
  const std::lock_guard lock(mutex_);
  failure_ = failure;
  finished_ = true;
  changed_.notify_all();
}

template <class Part>
bool BatchSource::offer(std::deque<Part>& ready, Part part) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stopping_ || std::ssize(ready) < options_.max_ready; });
  if (stopping_) return false;
  ready.push_back(std::move(part));
  changed_.notify_all();
  return true;
}

template <class Part>
Part BatchSource::take(std::deque<Part>& ready) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !ready.empty() || finished_; });
  if (ready.empty()) {
    if (failure_) std::rethrow_exception(failure_);
    core::fault("a batch source was asked for more than its steps have");
  }
  Part part = std::move(ready.front());
  ready.pop_front();
  lock.unlock();
  changed_.notify_all();
  return part;
}

}  // namespace allreco::train
