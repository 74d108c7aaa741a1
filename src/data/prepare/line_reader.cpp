#include "data/prepare/line_reader.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "core/check.h"
#include "core/input_file.h"
#include "core/interrupt.h"

namespace allreco::data {
namespace fs = std::filesystem;

namespace {

constexpr unsigned kBufferBytes = 1 << 18;

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

/// What prepare does not read says what it is; zlib would pass it through as plain text, and the error would come
/// later, as a malformed line.
void check_format(const core::InputFile& file) {
  std::array<char, 8> bytes{};
  const auto size = std::min<std::uint64_t>(bytes.size(), file.size());
  file.read(0, size, bytes.data());
  const std::string_view begin(bytes.data(), size);
  for (const Format& format : kFormats)
    if (begin.starts_with(format.magic))
      core::user_error("{} is {} data; prepare reads plain text and gzip: {}", file.path().string(), format.name,
                       format.remedy);
  if (file.path().extension() == ".gz" && !begin.starts_with("\x1f\x8b")) {
    core::user_error(
        "{} is named .gz but is not gzip data: download it again, or drop .gz from its name if it is plain text",
        file.path().string());
  }
}

}  // namespace

struct LineReader::State {
  fs::path path;
  gzFile file = nullptr;
  std::vector<char> buffer = std::vector<char>(kBufferBytes);
  std::string_view unread;
  std::int64_t line_number = 0;
  bool at_end = false;

  ~State() {
    if (file != nullptr) gzclose(file);
  }

  /// Fills `unread`; false at the end of the file.
  bool refill() {
    core::throw_if_interrupted();
    if (at_end) return false;
    const int num_read = gzread(file, buffer.data(), kBufferBytes);
    int code = Z_OK;
    const char* message = gzerror(file, &code);
    const std::string reason = code == Z_ERRNO ? std::strerror(errno) : message;
    if (num_read < 0 || (code != Z_OK && code != Z_BUF_ERROR)) {
      core::user_error("{} cannot be read on from line {}: {}. The file is damaged: download it again", path.string(),
                       line_number + 1, reason);
    }
    // Z_BUF_ERROR is how zlib says that the file ended inside the compressed stream; what came before is still handed
    // out.
    truncated = truncated || code == Z_BUF_ERROR;
    at_end = num_read == 0;
    unread = std::string_view(buffer.data(), static_cast<size_t>(num_read));
    if (at_end && truncated) {
      core::user_error("{} ends early, in line {}: the compressed data is cut off. Download it again", path.string(),
                       line_number + 1);
    }
    return !at_end;
  }

  bool truncated = false;
};

LineReader::LineReader(const fs::path& path) : state_(std::make_unique<State>()) {
  const core::InputFile file(path);
  check_format(file);
  state_->path = path;
  const int descriptor = ::fcntl(file.descriptor(), F_DUPFD_CLOEXEC, 0);
  if (descriptor < 0) core::user_error("cannot read {}: {}", path.string(), std::strerror(errno));
  state_->file = gzdopen(descriptor, "rb");
  if (state_->file == nullptr) {
    ::close(descriptor);
    core::fault("zlib cannot read {}", path.string());
  }
  gzbuffer(state_->file, kBufferBytes);
}

LineReader::~LineReader() = default;
LineReader::LineReader(LineReader&&) noexcept = default;

bool LineReader::next(std::string& line) {
  line.clear();
  bool found_any = false;
  while (!state_->unread.empty() || state_->refill()) {
    found_any = true;
    const size_t end = state_->unread.find('\n');
    line.append(state_->unread.substr(0, end));
    if (line.size() > kLongestLine) {
      core::user_error("{} line {} has more than {} bytes: is it a file of one row a line?", path().string(),
                       state_->line_number + 1, kLongestLine);
    }
    if (end == std::string_view::npos) {
      state_->unread = {};
      continue;
    }
    state_->unread.remove_prefix(end + 1);
    break;
  }
  if (!found_any) return false;
  ++state_->line_number;
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return true;
}

std::int64_t LineReader::line_number() const { return state_->line_number; }
const fs::path& LineReader::path() const { return state_->path; }

}  // namespace allreco::data
