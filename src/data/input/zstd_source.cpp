#include <zstd.h>

#include <utility>

#include "core/check.h"
#include "data/input/compressed_sources.h"

namespace allreco::data {

namespace {

constexpr int kMaxWindowLog = 27;

class ZstdSource final : public ByteSource {
 public:
  explicit ZstdSource(core::InputFile file) : blocks_(std::move(file)), stream_(ZSTD_createDStream()) {
    core::require(stream_ != nullptr, "zstd has memory for a stream");
    ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, kMaxWindowLog);
  }

  size_t read(char* to, size_t room) override {
    ZSTD_outBuffer out{to, room, 0};
    while (out.pos == 0) {
      const bool has_more = refill();
      if (!has_more && is_between_frames_) return 0;
      const size_t before = in_.pos;
      const size_t left = ZSTD_decompressStream(stream_.get(), &out, &in_);
      if (ZSTD_isError(left) != 0) throw DamagedData(ZSTD_getErrorName(left), false);
      is_between_frames_ = left == 0;
      if (!has_more && out.pos == 0 && in_.pos == before && !is_between_frames_)
        throw DamagedData("the compressed data is cut off", true);
    }
    return out.pos;
  }

  std::uint64_t bytes_read() const override { return blocks_.bytes_read() - (in_.size - in_.pos); }

 private:
  bool refill() {
    if (in_.pos < in_.size) return true;
    if (!blocks_.next()) return false;
    in_ = {blocks_.block().data(), blocks_.block().size(), 0};
    return true;
  }

  struct Free {
    void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
  };

  FileBlocks blocks_;
  std::unique_ptr<ZSTD_DStream, Free> stream_;
  ZSTD_inBuffer in_{nullptr, 0, 0};
  bool is_between_frames_ = true;
};

}  // namespace

std::unique_ptr<ByteSource> open_zstd(core::InputFile file) { return std::make_unique<ZstdSource>(std::move(file)); }

}  // namespace allreco::data
