// Room that calls use again, one call at a time: threads borrow it, and when all is out, a thread makes its own.
#pragma once
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace allreco::data {

/// Thread-safe.
template <class Scratch>
class ScratchPool {
 public:
  /// A scratch for the time of one call.
  class Lease {
   public:
    explicit Lease(ScratchPool& pool) : pool_(pool), scratch_(pool.take()) {
      if (!scratch_) scratch_ = std::make_unique<Scratch>();
    }
    ~Lease() { pool_.give_back(std::move(scratch_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    Scratch& operator*() { return *scratch_; }

   private:
    ScratchPool& pool_;
    std::unique_ptr<Scratch> scratch_;
  };

 private:
  static constexpr std::size_t kMostKept = 64;

  std::unique_ptr<Scratch> take() {
    const std::lock_guard lock(mutex_);
    if (kept_.empty()) return nullptr;
    std::unique_ptr<Scratch> scratch = std::move(kept_.back());
    kept_.pop_back();
    return scratch;
  }
  void give_back(std::unique_ptr<Scratch> scratch) {
    const std::lock_guard lock(mutex_);
    if (kept_.size() < kMostKept) kept_.push_back(std::move(scratch));
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<Scratch>> kept_;
};

}  // namespace allreco::data
