#include "recommend/connection_threads.h"

#include <system_error>

namespace allreco::recommend {

bool ConnectionThreads::start(const std::function<void()>& connection) {
  const std::lock_guard lock(mutex_);
  if (num_open_ == most_) return false;
  if (num_open_ == threads_.size()) {
    try {
      threads_.emplace_back([this] { work(); });
    } catch (const std::system_error&) {
      return false;
    }
  }
  ++num_open_;
  waiting_.push_back(connection);
  has_work_.notify_one();
  return true;
}

void ConnectionThreads::join() {
  {
    const std::lock_guard lock(mutex_);
    is_closing_ = true;
  }
  has_work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ConnectionThreads::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    has_work_.wait(lock, [&] { return is_closing_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    const std::function<void()> connection = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    connection();
    lock.lock();
    --num_open_;
  }
}

}  // namespace allreco::recommend
