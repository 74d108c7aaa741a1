#include "train/batch_source.h"

#include <utility>

#include "core/check.h"

namespace allreco::train {

MicroBatch pack_micro_batch(const data::Dataset& dataset, const std::vector<std::int64_t>& samples) {
  model::PackedBatchBuilder builder;
  for (const std::int64_t sample : samples) {
    if (dataset.num_supervised(sample) == 0) continue;
    const data::Example example = dataset.example(sample);
    builder.add_example(example.tokens, example.prompt_length, static_cast<std::uint64_t>(sample));
  }
  return builder.empty() ? MicroBatch{} : MicroBatch{builder.build()};
}

BatchSource::BatchSource(const data::Dataset& dataset, StepSamples samples_of, const Options& options)
    : dataset_(dataset) {
  core::require(options.max_ready >= 1, "a batch source needs room for a micro-batch");
  thread_ = std::thread([this, samples_of = std::move(samples_of), options] { read_all(samples_of, options); });
}

BatchSource::~BatchSource() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

MicroBatch BatchSource::next() {
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

void BatchSource::read_all(const StepSamples& samples_of, const Options& options) {
  std::exception_ptr failure;
  try {
    for (std::int64_t step = options.first_step; step < options.end_step; ++step) {
      for (const auto& samples : samples_of(step)) {
        MicroBatch batch = pack_micro_batch(dataset_, samples);
        if (options.pinned && batch.batch) batch.batch = batch.batch->pinned();
        if (!offer(std::move(batch), options.max_ready)) return;
      }
    }
  } catch (...) {
    failure = std::current_exception();  // next() throws it
  }
  const std::lock_guard lock(mutex_);
  failure_ = failure;
  finished_ = true;
  changed_.notify_all();
}

bool BatchSource::offer(MicroBatch batch, std::int64_t max_ready) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stopping_ || static_cast<std::int64_t>(ready_.size()) < max_ready; });
  if (stopping_) return false;
  ready_.push_back(std::move(batch));
  changed_.notify_all();
  return true;
}

}  // namespace allreco::train
