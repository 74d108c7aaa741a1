// ConnectionThreads: a thread for each connection, made when first needed, up to a limit.
#pragma once
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace allreco::recommend {

class ConnectionThreads {
 public:
  explicit ConnectionThreads(std::size_t most) : most_(most) {}

  /// Runs it on a thread of its own; false, and nothing, where the limit is reached or the system has no thread left.
  bool start(const std::function<void()>& connection);
  /// Returns when all have ended. Nothing is started any more.
  void join();

 private:
  void work();

  const std::size_t most_;
  std::mutex mutex_;
  std::condition_variable has_work_;
  std::deque<std::function<void()>> waiting_;
  std::vector<std::thread> threads_;
  std::size_t num_open_ = 0;  // connections that wait or are served
  bool is_closing_ = false;
};

}  // namespace allreco::recommend
