// RequestQueue: between the threads that hold connections and the one that owns the model. Bounded: who finds it full
// is told at once.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <future>
#include <mutex>
#include <optional>
#include <vector>

#include "recommend/recommender.h"

namespace allreco::recommend {

class RequestQueue {
 public:
  using Answer = std::vector<Recommendation>;
  /// A query that waits, and where its answer goes.
  struct Waiting {
    const Query* query = nullptr;  // of the thread that waits for the answer
    std::promise<Answer> answer;
  };

  explicit RequestQueue(std::size_t capacity) : capacity_(capacity) {}

  /// Any thread. The answer comes later; none: the queue is full. `query` must stay until the future is ready.
  std::optional<std::future<Answer>> submit(const Query& query);

  /// The thread of the model: up to `most` queries, in order, as soon as there are any; empty when none came in time.
  /// Each must be answered, or given an exception.
  std::vector<Waiting> take(std::size_t most, std::chrono::milliseconds patience);

  std::size_t size() const;

 private:
  const std::size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable has_some_;
  std::deque<Waiting> waiting_;
};

}  // namespace allreco::recommend
