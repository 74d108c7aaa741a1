#include "recommend/request_queue.h"

namespace allreco::recommend {

std::optional<std::future<RequestQueue::Answer>> RequestQueue::submit(const Query& query) {
  const std::lock_guard lock(mutex_);
  if (waiting_.size() >= capacity_) return std::nullopt;
  waiting_.push_back({&query, {}});
  has_some_.notify_one();
  return waiting_.back().answer.get_future();
}

std::vector<RequestQueue::Waiting> RequestQueue::take(std::size_t most, std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  has_some_.wait_for(lock, patience, [&] { return !waiting_.empty(); });
  std::vector<Waiting> taken;
  while (!waiting_.empty() && taken.size() < most) {
    taken.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return taken;
}

std::size_t RequestQueue::size() const {
  const std::lock_guard lock(mutex_);
  return waiting_.size();
}

}  // namespace allreco::recommend
