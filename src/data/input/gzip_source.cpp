#include <isa-l/igzip_lib.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "data/input/compressed_sources.h"

namespace allreco::data {

namespace {

const char* reason_of(int code) {
  switch (code) {
    case ISAL_INVALID_WRAPPER:
      return "a header is not gzip's";
    case ISAL_UNSUPPORTED_METHOD:
      return "unknown compression method";
    case ISAL_INCORRECT_CHECKSUM:
      return "incorrect checksum";
    case ISAL_INVALID_LOOKBACK:
      return "invalid distance too far back";
    case ISAL_INVALID_SYMBOL:
      return "invalid code";
    default:
      return "invalid block";
  }
}

class GzipSource final : public ByteSource {
 public:
  explicit GzipSource(core::InputFile file) : blocks_(std::move(file)), state_(std::make_unique<inflate_state>()) {
    isal_inflate_init(state_.get());
    state_->crc_flag = ISAL_GZIP;
  }

  size_t read(char* to, size_t room) override {
    state_->next_out = reinterpret_cast<std::uint8_t*>(to);
    state_->avail_out = static_cast<std::uint32_t>(std::min<size_t>(room, 1u << 30));
    const std::uint32_t wanted = state_->avail_out;
    while (state_->avail_out == wanted && !is_at_end_) {
      if (state_->block_state == ISAL_BLOCK_FINISH) {
        next_member();
      } else {
        inflate_on();
      }
    }
    return wanted - state_->avail_out;
  }

  std::uint64_t bytes_read() const override { return blocks_.bytes_read() - state_->avail_in; }

 private:
  /// False at the end of the file. Keeps what is unread.
  bool refill() {
    if (state_->avail_in > 0) return true;
    if (!blocks_.next()) return false;
    state_->next_in = blocks_.block().data();
    state_->avail_in = static_cast<std::uint32_t>(blocks_.block().size());
    return true;
  }

  void inflate_on() {
    const bool has_more = refill();
    const std::uint32_t room = state_->avail_out, unread = state_->avail_in;
    const int code = isal_inflate(state_.get());
    if (code < 0) throw DamagedData(reason_of(code), false);
    const bool is_stuck = state_->avail_out == room && state_->avail_in == unread;
    if (code == ISAL_NEED_DICT) throw DamagedData("a dictionary is needed", false);
    if (state_->block_state == ISAL_BLOCK_FINISH || !is_stuck) return;
    if (has_more) throw DamagedData(reason_of(ISAL_INVALID_BLOCK), false);
    throw DamagedData("the compressed data is cut off", true);
  }

  /// Behind a member there is another one, or zeros up to the end, with which tapes are filled.
  void next_member() {
    while (refill() && *state_->next_in == 0) {
      ++state_->next_in;
      --state_->avail_in;
      is_filling_ = true;
    }
    if (state_->avail_in == 0) {
      is_at_end_ = true;
      return;
    }
    if (is_filling_ || *state_->next_in != 0x1F)
      throw DamagedData("what follows the compressed data is not gzip", false);
    isal_inflate_reset(state_.get());
    state_->crc_flag = ISAL_GZIP;
  }

  FileBlocks blocks_;
  std::unique_ptr<inflate_state> state_;
  bool is_filling_ = false;
  bool is_at_end_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> open_gzip(core::InputFile file) { return std::make_unique<GzipSource>(std::move(file)); }

}  // namespace allreco::data
