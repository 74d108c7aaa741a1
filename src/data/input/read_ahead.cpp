#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "data/input/compressed_sources.h"

namespace allreco::data {

namespace {

constexpr size_t kAheadBlockBytes = size_t{1} << 20;
constexpr size_t kMaxBlocks = 4;

/// The thread fills blocks, read() empties them; what ends the thread, an error too, comes behind its last block.
class ReadAhead final : public ByteSource {
 public:
  explicit ReadAhead(std::unique_ptr<ByteSource> source) : source_(std::move(source)), thread_([this] { fill(); }) {}
  ~ReadAhead() override {
    {
      const std::lock_guard lock(mutex_);
      is_given_up_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  size_t read(char* to, size_t room) override {
    if (taken_ == current_.bytes.size() && !next_block()) return 0;
    const size_t count = std::min(room, current_.bytes.size() - taken_);
    std::memcpy(to, current_.bytes.data() + taken_, count);
    taken_ += count;
    return count;
  }

  std::uint64_t bytes_read() const override { return current_.file_bytes; }

 private:
  struct Block {
    std::vector<char> bytes;
    std::uint64_t file_bytes = 0;  // of the file, up to the block's end
  };

  bool next_block() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !blocks_.empty() || is_done_; });
    if (blocks_.empty()) {
      if (error_) std::rethrow_exception(error_);
      return false;
    }
    spare_.push_back(std::move(current_.bytes));
    current_ = std::move(blocks_.front());
    blocks_.pop_front();
    taken_ = 0;
    changed_.notify_all();
    return true;
  }

  void fill() {
    try {
      while (fill_block()) continue;
    } catch (...) {
      const std::lock_guard lock(mutex_);
      error_ = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    is_done_ = true;
    changed_.notify_all();
  }

  /// False at the end of the file, and when nobody wants more.
  bool fill_block() {
    Block block;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return blocks_.size() < kMaxBlocks || is_given_up_; });
      if (is_given_up_) return false;
      if (!spare_.empty()) {
        block.bytes = std::move(spare_.back());
        spare_.pop_back();
      }
    }
    block.bytes.resize(kAheadBlockBytes);
    block.bytes.resize(source_->read(block.bytes.data(), kAheadBlockBytes));
    block.file_bytes = source_->bytes_read();
    if (block.bytes.empty()) return false;
    const std::lock_guard lock(mutex_);
    blocks_.push_back(std::move(block));
    changed_.notify_all();
    return true;
  }

  std::unique_ptr<ByteSource> source_;  // the thread's
  Block current_;                       // the reader's
  size_t taken_ = 0;                    // of current_
  std::mutex mutex_;                    // of all below
  std::condition_variable changed_;
  std::deque<Block> blocks_;
  std::vector<std::vector<char>> spare_;
  std::exception_ptr error_;
  bool is_done_ = false;
  bool is_given_up_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace

std::unique_ptr<ByteSource> read_ahead(std::unique_ptr<ByteSource> source) {
  return std::make_unique<ReadAhead>(std::move(source));
}

}  // namespace allreco::data
