#include "data/input/line_reader.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/check.h"
#include "core/interrupt.h"
#include "data/input/byte_source.h"

namespace allreco::data {
namespace fs = std::filesystem;

namespace {

constexpr size_t kLineBlockBytes = size_t{1} << 18;

}  // namespace

struct LineReader::State {
  explicit State(const InputPart& input) : part(input), source(open_source(source_of(input))) {
    if (part.begin > 0) skip_begun_line();
  }

  /// One byte earlier: a line begins at part.begin when the byte before it ends one.
  static InputPart source_of(InputPart part) {
    if (part.begin > 0) --part.begin;
    return part;
  }

  /// The place of the next '\n' from `from` on, reading on until there is one; `filled` at the end of the file.
  size_t find_end(size_t from) {
    while (true) {
      const auto* found = static_cast<const char*>(std::memchr(buffer.data() + from, '\n', filled - from));
      if (found != nullptr) return static_cast<size_t>(found - buffer.data());
      from = filled - start;  // as refill moves the line to the front
      if (from > kLongestLine) refuse_length();
      if (!refill()) return filled;
    }
  }

  /// Moves what is begun to the front and reads behind it; false at the end of the file.
  bool refill() {
    core::throw_if_interrupted();
    std::memmove(buffer.data(), buffer.data() + start, filled - start);
    filled -= start;
    start = 0;
    if (buffer.size() < filled + kLineBlockBytes + kLinePadding)
      buffer.resize(std::max(2 * buffer.size(), filled + kLineBlockBytes + kLinePadding));
    const size_t num_read = read_on(buffer.data() + filled, buffer.size() - kLinePadding - filled);
    filled += num_read;
    return num_read > 0;
  }

  size_t read_on(char* to, size_t room) {
    try {
      return source->read(to, room);
    } catch (const DamagedData& damage) {
      if (damage.ends_early())
        core::user_error("{} ends early, in line {}: {}. Download it again", part.path.string(), line_number + 1,
                         damage.what());
      core::user_error("{} cannot be read on from line {}: {}. The file is damaged: download it again",
                       part.path.string(), line_number + 1, damage.what());
    }
  }

  [[noreturn]] void refuse_length() const {
    core::user_error("{} line {} has more than {} bytes: is it a file of one row a line?", part.path.string(),
                     line_number + 1, kLongestLine);
  }

  /// The line that holds the byte before the part belongs to the part before; however long it is, no more of it is kept
  /// than a block.
  void skip_begun_line() {
    line_begin = part.begin - 1;
    while (filled > 0 || refill()) {
      const auto* found = static_cast<const char*>(std::memchr(buffer.data(), '\n', filled));
      const size_t skipped = found == nullptr ? filled : static_cast<size_t>(found - buffer.data()) + 1;
      line_begin += skipped;
      start = found == nullptr ? 0 : skipped;
      if (found != nullptr || line_begin >= part.end) return;
      filled = 0;
    }
  }

  InputPart part;
  std::unique_ptr<ByteSource> source;
  std::vector<char> buffer = std::vector<char>(kLineBlockBytes + kLinePadding);
  size_t start = 0;              // of the next line, in the buffer
  size_t filled = 0;             // bytes of the buffer
  std::uint64_t line_begin = 0;  // of the next line, in the file's (decompressed) bytes
  std::int64_t line_number = 0;
};

LineReader::LineReader(const fs::path& path) : LineReader(InputPart{.path = path}) {}
LineReader::LineReader(const InputPart& part) : state_(std::make_unique<State>(part)) {}
LineReader::~LineReader() = default;
LineReader::LineReader(LineReader&&) noexcept = default;

bool LineReader::next(std::string_view& line) {
  State& s = *state_;
  if (s.line_begin >= s.part.end) return false;
  const size_t end = s.find_end(s.start);  // moves s.start
  const size_t size = end - s.start;
  if (end == s.filled && size == 0) return false;
  if (size > kLongestLine) s.refuse_length();
  line = std::string_view(s.buffer.data() + s.start, size);
  const size_t consumed = size + (end < s.filled ? 1 : 0);
  s.start += consumed;
  s.line_begin += consumed;
  ++s.line_number;
  if (line.ends_with('\r')) line.remove_suffix(1);
  return true;
}

bool LineReader::next(std::string& line) {
  std::string_view view;
  const bool is_line = next(view);
  line.assign(view);
  return is_line;
}

std::int64_t LineReader::line_number() const { return state_->line_number; }
std::uint64_t LineReader::bytes_read() const { return state_->source->bytes_read(); }
const fs::path& LineReader::path() const { return state_->part.path; }

}  // namespace allreco::data
