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

BatchSource::BatchSource(const data::Dataset& dataset, StepSamples samples_of, const Options& options)
    : dataset_(dataset), samples_of_(std::move(samples_of)), options_(options), next_step_(options.first_step) {
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

MicroBatch BatchSource::next() {
  if (thread_.joinable()) return take();
  std::optional<MicroBatch> batch = read_next();
  if (!batch) core::fault("a batch source was asked for more micro-batches than its steps have");
  return std::move(*batch);
}

MicroBatch BatchSource::take() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !ready_.empty() || finished_; });
  if (ready_.empty()) {
    if (failure_) std::rethrow_exception(failure_);
    core::fault("a batch source was asked for more micro-batches than its steps have");
  }
  MicroBatch batch = std::move(ready_.front());
  ready_.pop_front();
  lock.unlock();
  changed_.notify_all();
  return batch;
}

// What fails stays in front, so that it fails again at the next call.
std::optional<MicroBatch> BatchSource::read_next() {
  while (left_of_step_.empty()) {
    if (next_step_ == options_.end_step) return std::nullopt;
    const data::MicroBatches of_step = samples_of_(next_step_);
    left_of_step_.assign(of_step.begin(), of_step.end());
    ++next_step_;
  }
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
    while (auto batch = read_next()) {
      if (!offer(std::move(*batch))) return;
    }
  } catch (...) {
    failure = std::current_exception();  // next() throws it
  }
  const std::lock_guard lock(mutex_);
  failure_ = failure;
  finished_ = true;
  changed_.notify_all();
}

bool BatchSource::offer(MicroBatch batch) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stopping_ || static_cast<std::int64_t>(ready_.size()) < options_.max_ready; });
  if (stopping_) return false;
  ready_.push_back(std::move(batch));
  changed_.notify_all();
  return true;
}

}  // namespace allreco::train
