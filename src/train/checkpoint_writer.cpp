#include "train/checkpoint_writer.h"

#include <exception>
#include <utility>

namespace allreco::train {

CheckpointWriter::CheckpointWriter(std::filesystem::path output_dir, std::int64_t save_total_limit)
    : output_dir_(std::move(output_dir)), save_total_limit_(save_total_limit), thread_([this] { run(); }) {}

CheckpointWriter::~CheckpointWriter() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void CheckpointWriter::save(SaveRequest request) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return queue_.size() < kMaxQueued; });
  queue_.push_back(std::move(request));
  changed_.notify_all();
}

std::vector<SaveOutcome> CheckpointWriter::take_outcomes() {
  const std::lock_guard lock(mutex_);
  return std::exchange(outcomes_, {});
}

void CheckpointWriter::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return queue_.empty(); });
}

void CheckpointWriter::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return ending_ || !queue_.empty(); });
    if (queue_.empty()) return;
    const SaveRequest& request = queue_.front();  // stays where it is while others are added behind it
    lock.unlock();
    SaveOutcome outcome = save_now(request);
    lock.lock();
    outcomes_.push_back(std::move(outcome));
    queue_.pop_front();
    changed_.notify_all();
  }
}

// Any error, not only a full disk, must reach the main thread as an outcome: an exception cannot leave a thread.
SaveOutcome CheckpointWriter::save_now(const SaveRequest& request) const {
  SaveOutcome outcome{.step = request.step, .best = request.best, .metric = request.metric, .error = {}};
  try {
    clean_up_interrupted_saves(output_dir_);  // of the save before, if it failed
    save_checkpoint(output_dir_, request.step, request.contents, request.state);
    if (request.best) update_link(output_dir_, "best", checkpoint_name(request.step));
    delete_old_checkpoints(output_dir_, save_total_limit_);
  } catch (const std::exception& e) {
    outcome.error = e.what();
  }
  return outcome;
}

}  // namespace allreco::train
