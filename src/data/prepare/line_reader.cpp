#include "data/prepare/line_reader.h"

#include <zlib.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string_view>
#include <vector>

#include "core/check.h"
#include "core/interrupt.h"

namespace allreco::data {
namespace fs = std::filesystem;

namespace {

constexpr unsigned kBufferBytes = 1 << 18;

void check_readable(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error))
    core::user_error("cannot read {}: it is a directory, a file is needed", path.string());
  std::ifstream stream(path, std::ios::binary);
  if (!stream) core::user_error("cannot read {}: {}", path.string(), std::strerror(errno));
  if (path.extension() != ".gz") return;
  // zlib would pass a broken header through as plain text, and the error would come later, as a malformed line.
  std::array<char, 2> magic{};
  stream.read(magic.data(), magic.size());
  if (stream.gcount() != 2 || magic[0] != '\x1f' || magic[1] != '\x8b') {
    core::user_error(
        "{} is named .gz but is not gzip data: download it again, or drop .gz from its name if it is plain text",
        path.string());
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
  check_readable(path);
  state_->path = path;
  state_->file = gzopen(path.c_str(), "rb");
  if (state_->file == nullptr) core::user_error("cannot read {}: {}", path.string(), std::strerror(errno));
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
