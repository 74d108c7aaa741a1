// OrderedWork: pieces of work on several threads, their results in the order of the pieces, and never more than a few
// of them under way.
#pragma once
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace allreco::core {

/// `work` runs on any of the threads, `take` on the one that calls push() and finish(), in the order of push(). What
/// either throws comes out of push() or finish(), in order too; pieces behind it are dropped. Destroyed before
/// finish(), it waits for those under way and drops the others.
template <class Piece, class Result>
class OrderedWork {
 public:
  /// `most_waiting`: pieces that are pushed and not taken yet.
  OrderedWork(std::int64_t num_threads, std::size_t most_waiting, std::function<Result(Piece&)> work,
              std::function<void(Result&)> take)
      : most_waiting_(most_waiting), work_(std::move(work)), take_(std::move(take)) {
    for (std::int64_t i = 0; i < num_threads; ++i) threads_.emplace_back([this] { run(); });
  }

  ~OrderedWork() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
  }
  OrderedWork(const OrderedWork&) = delete;
  OrderedWork& operator=(const OrderedWork&) = delete;

  void push(Piece piece) {
    while (take_front(slots_.size() >= most_waiting_)) {
    }
    {
      const std::lock_guard lock(mutex_);
      slots_.emplace_back().piece.emplace(std::move(piece));
    }
    changed_.notify_one();
  }

  /// Until every result is taken.
  void finish() {
    while (take_front(true)) {
    }
  }

 private:
  struct Slot {
    std::optional<Piece> piece;
    std::optional<Result> result;
    std::exception_ptr failure;
    bool is_done = false;
  };

  /// Takes the oldest result if it is there, or waits for it. False: none is there. Only the pusher changes the number
  /// of slots, so it may look at it without the lock.
  bool take_front(bool wait) {
    if (slots_.empty()) return false;
    std::unique_lock lock(mutex_);
    if (!slots_.front().is_done && !wait) return false;
    done_.wait(lock, [this] { return slots_.front().is_done; });
    Slot slot = std::move(slots_.front());
    slots_.pop_front();
    --next_;
    lock.unlock();
    if (slot.failure) std::rethrow_exception(slot.failure);
    take_(*slot.result);
    return true;
  }

  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return ending_ || next_ < slots_.size(); });
      if (ending_) return;
      Slot& slot = slots_[next_++];  // stays where it is: a deque moves nothing at its ends
      lock.unlock();
      try {
        slot.result.emplace(work_(*slot.piece));
      } catch (...) {
        slot.failure = std::current_exception();
      }
      slot.piece.reset();
      lock.lock();
      slot.is_done = true;
      done_.notify_one();
    }
  }

  const std::size_t most_waiting_;
  const std::function<Result(Piece&)> work_;
  const std::function<void(Result&)> take_;
  std::mutex mutex_;
  std::condition_variable changed_, done_;
  std::deque<Slot> slots_;
  std::size_t next_ = 0;  // of slots_: the first that no thread has begun
  bool ending_ = false;
  std::vector<std::jthread> threads_;  // last: they use all of the above
};

}  // namespace allreco::core
