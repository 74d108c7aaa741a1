#include "data/input/byte_source.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "core/check.h"
#include "data/input/compressed_sources.h"

namespace allreco::data {

namespace {

constexpr std::string_view kGzipMagic = "\x1f\x8b";
constexpr std::string_view kZstdMagic = "\x28\xb5\x2f\xfd";
constexpr size_t kFileBlockBytes = size_t{1} << 18;

struct Format {
  std::string_view magic;
  const char* name;
  const char* remedy;
};
constexpr std::array<Format, 5> kFormats{{{"BZh", "bzip2", "decompress it first: bunzip2"},
                                          {"\xfd\x37zXZ", "xz", "decompress it first: xz -d"},
                                          {"PK\x03\x04", "a zip archive", "unpack it first: unzip"},
                                          {"PAR1", "Parquet", "write its rows as JSON lines"},
                                          {"\x89HDF", "HDF5", "write its rows as JSON lines"}}};

std::string first_bytes(const core::InputFile& file) {
  std::string bytes(std::min<std::uint64_t>(8, file.size()), '\0');
  file.read(0, bytes.size(), bytes.data());
  return bytes;
}

void require_magic(const core::InputFile& file, std::string_view begin, const char* extension, std::string_view magic,
                   const char* name) {
  if (file.path().extension() != extension || begin.starts_with(magic)) return;
  core::user_error("{} is named {} but is not {} data: download it again, or drop {} from its name if it is plain text",
                   file.path().string(), extension, name, extension);
}

/// What prepare does not read says what it is; the error would come later else, as a malformed line.
void check_format(const core::InputFile& file) {
  const std::string begin = first_bytes(file);
  for (const Format& format : kFormats)
    if (begin.starts_with(format.magic))
      core::user_error("{} is {} data; prepare reads plain text, gzip and zstd: {}", file.path().string(), format.name,
                       format.remedy);
  if (begin.starts_with(kGzipMagic) || begin.starts_with(kZstdMagic)) return;
  require_magic(file, begin, ".gz", kGzipMagic, "gzip");
  require_magic(file, begin, ".zst", kZstdMagic, "zstd");
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

}  // namespace

FileBlocks::FileBlocks(core::InputFile file) : file_(std::move(file)) {}

bool FileBlocks::next() {
  block_.resize(std::min<std::uint64_t>(kFileBlockBytes, file_.size() - next_));
  file_.read(next_, block_.size(), block_.data());
  next_ += block_.size();
  return !block_.empty();
}

bool is_compressed(const core::InputFile& file) {
  const std::string begin = first_bytes(file);
  return begin.starts_with(kGzipMagic) || begin.starts_with(kZstdMagic);
}

std::unique_ptr<ByteSource> open_source(const InputPart& part) {
  core::InputFile file(part.path);
  check_format(file);
  if (!is_compressed(file)) return std::make_unique<PlainSource>(std::move(file), part.begin);
  core::require(part.begin == 0, "a compressed file is read from its beginning");
  const bool is_gzip = first_bytes(file).starts_with(kGzipMagic);
  return read_ahead(is_gzip ? open_gzip(std::move(file)) : open_zstd(std::move(file)));
}

}  // namespace allreco::data
