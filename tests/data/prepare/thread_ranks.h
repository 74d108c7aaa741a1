// Several ranks as threads of one process: PrepareRanks over a mutex.
#pragma once
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/check.h"
#include "data/prepare/ranks.h"

namespace allreco::data {

/// What the ranks share: each puts its texts there, then all read them.
class ThreadWorld {
 public:
  explicit ThreadWorld(int size) : size_(size), texts_(static_cast<std::size_t>(size)) {}
  int size() const { return size_; }

  /// Collective. All ranks' texts. A rank that has failed ends the others here.
  std::vector<std::vector<std::string>> meet(int rank, std::vector<std::string> texts) {
    std::unique_lock lock(mutex_);
    texts_[static_cast<std::size_t>(rank)] = std::move(texts);
    wait_for_all(lock);
    std::vector<std::vector<std::string>> all = texts_;
    wait_for_all(lock);  // nobody writes again before all have read
    return all;
  }
  void fail() {
    const std::lock_guard lock(mutex_);
    has_failed_ = true;
    changed_.notify_all();
  }
  bool has_failed() {
    const std::lock_guard lock(mutex_);
    return has_failed_;
  }

 private:
  void wait_for_all(std::unique_lock<std::mutex>& lock) {
    const int round = round_;
    if (++num_here_ == size_) {
      num_here_ = 0;
      ++round_;
      changed_.notify_all();
    }
    changed_.wait(lock, [&] { return has_failed_ || round_ != round; });
    if (has_failed_) throw core::Fault("another rank failed");
  }

  const int size_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::vector<std::string>> texts_;
  int num_here_ = 0, round_ = 0;
  bool has_failed_ = false;
};

class ThreadRank final : public PrepareRanks {
 public:
  ThreadRank(ThreadWorld& world, int rank) : world_(world), rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return world_.size(); }
  void enter(std::string_view) override {}
  void leave_if_peer_failed() override {
    if (world_.has_failed()) throw core::Fault("another rank failed");
  }
  std::vector<std::string> all_to_all(const std::vector<std::string>& texts) override {
    std::vector<std::string> received;
    for (const auto& of_rank : world_.meet(rank_, texts)) received.push_back(of_rank[static_cast<std::size_t>(rank_)]);
    return received;
  }
  std::vector<std::string> all_gather(const std::string& text) override {
    std::vector<std::string> all;
    for (const auto& of_rank : world_.meet(rank_, {text})) all.push_back(of_rank[0]);
    return all;
  }
  void all_sum(std::vector<std::int64_t>& values) override {
    reduce(values, [](std::int64_t a, std::int64_t b) { return a + b; });
  }
  void all_min(std::vector<std::int64_t>& values) override {
    reduce(values, [](std::int64_t a, std::int64_t b) { return std::min(a, b); });
  }
  void barrier() override { world_.meet(rank_, {}); }

 private:
  template <class Join>
  void reduce(std::vector<std::int64_t>& values, const Join& join) {
    const std::string mine(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(std::int64_t));
    bool is_first = true;
    for (const std::string& text : all_gather(mine)) {
      core::require(text.size() == mine.size(), "all ranks bring as many values");
      for (std::size_t i = 0; i < values.size(); ++i) {
        std::int64_t value = 0;
        text.copy(reinterpret_cast<char*>(&value), sizeof value, i * sizeof value);
        values[i] = is_first ? value : join(values[i], value);
      }
      is_first = false;
    }
  }

  ThreadWorld& world_;
  int rank_;
};

/// Runs work(ranks) on so many ranks; the first error that is not another rank's is thrown on.
inline void on_thread_ranks(int size, const std::function<void(PrepareRanks&)>& work) {
  ThreadWorld world(size);
  std::mutex mutex;
  std::exception_ptr failure;
  {
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < size; ++rank) {
      threads.emplace_back([&, rank] {
        try {
          ThreadRank ranks(world, rank);
          work(ranks);
        } catch (...) {
          const std::lock_guard lock(mutex);
          if (!failure) failure = std::current_exception();
          world.fail();
        }
      });
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace allreco::data
