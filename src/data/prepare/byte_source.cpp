#include "data/prepare/byte_source.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>

#include "core/check.h"

namespace allreco::data {
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kGzipMagic = "\x1f\x8b";

struct Format {
  std::string_view magic;
  const char* name;
  const char* remedy;
};
constexpr std::array<Format, 6> kFormats{{{"\x28\xb5\x2f\xfd", "zstd", "decompress it first: zstd -d"},
                                          {"BZh", "bzip2", "decompress it first: bunzip2"},
                                          {"\xfd\x37zXZ", "xz", "decompress it first: xz -d"},
                                          {"PK\x03\x04", "a zip archive", "unpack it first: unzip"},
                                          {"PAR1", "Parquet", "write its rows as JSON lines"},
                                          {"\x89HDF", "HDF5", "write its rows as JSON lines"}}};

std::string first_bytes(const core::InputFile& file) {
  std::string bytes(std::min<std::uint64_t>(8, file.size()), '\0');
  file.read(0, bytes.size(), bytes.data());
  return bytes;
}

/// What prepare does not read says what it is; the error would come later else, as a malformed line.
void check_format(const core::InputFile& file) {
  const std::string begin = first_bytes(file);
  for (const Format& format : kFormats)
    if (begin.starts_with(format.magic))
      core::user_error("{} is {} data; prepare reads plain text and gzip: {}", file.path().string(), format.name,
                       format.remedy);
  if (file.path().extension() == ".gz" && !begin.starts_with(kGzipMagic)) {
    core::user_error(
        "{} is named .gz but is not gzip data: download it again, or drop .gz from its name if it is plain text",
        file.path().string());
  }
}

class PlainSource final : public ByteSource {
 public:
  PlainSource(core::InputFile file, std::uint64_t begin) : file_(std::move(file)), begin_(begin), next_(begin) {}
  size_t read(char* to, size_t room) override {
    const auto count = std::min<std::uint64_t>(room, file_.size() - std::min(next_, file_.size()));
    file_.read(next_, count, to);
    next_ += count;
    return count;
  }
  std::uint64_t bytes_read() const override { return next_ - begin_; }

 private:
  core::InputFile file_;
  std::uint64_t begin_, next_;
};

class GzipSource final : public ByteSource {
 public:
  explicit GzipSource(const core::InputFile& file) : path_(file.path()) {
    const int descriptor = ::fcntl(file.descriptor(), F_DUPFD_CLOEXEC, 0);
    if (descriptor < 0) core::user_error("cannot read {}: {}", path_.string(), std::strerror(errno));
    file_ = gzdopen(descriptor, "rb");
    if (file_ == nullptr) {
      ::close(descriptor);
      core::fault("zlib cannot read {}", path_.string());
    }
    gzbuffer(file_, 1u << 18);
  }
  ~GzipSource() override { gzclose(file_); }
  GzipSource(const GzipSource&) = delete;
  GzipSource& operator=(const GzipSource&) = delete;

  size_t read(char* to, size_t room) override {
    const int num_read = gzread(file_, to, static_cast<unsigned>(std::min<size_t>(room, 1u << 30)));
    int code = Z_OK;
    const char* message = gzerror(file_, &code);
    if (num_read < 0 || (code != Z_OK && code != Z_BUF_ERROR))
      throw DamagedData(code == Z_ERRNO ? std::strerror(errno) : message, false);
    is_cut_ = is_cut_ || code == Z_BUF_ERROR;  // how zlib says that the file ended inside the compressed stream
    if (num_read == 0 && is_cut_) throw DamagedData("the compressed data is cut off", true);
    return static_cast<size_t>(num_read);
  }
  std::uint64_t bytes_read() const override { return static_cast<std::uint64_t>(std::max<off_t>(0, gzoffset(file_))); }

 private:
  fs::path path_;
  gzFile file_ = nullptr;
  bool is_cut_ = false;
};

}  // namespace

bool is_compressed(const core::InputFile& file) { return first_bytes(file).starts_with(kGzipMagic); }

std::unique_ptr<ByteSource> open_source(const InputPart& part) {
  core::InputFile file(part.path);
  check_format(file);
  if (!is_compressed(file)) return std::make_unique<PlainSource>(std::move(file), part.begin);
  core::require(part.begin == 0, "a compressed file is read from its beginning");
  return std::make_unique<GzipSource>(file);
}

}  // namespace allreco::data
