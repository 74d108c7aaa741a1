#include "recommend/line_source.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/check.h"

namespace allreco::recommend {

std::vector<Line> LineSource::next(std::size_t most) {
  while (!has_ended_ && lines_.empty()) read_some();
  while (!has_ended_ && lines_.size() < most && has_input()) read_some();
  const auto count = static_cast<std::ptrdiff_t>(std::min(most, lines_.size()));
  std::vector<Line> taken(std::make_move_iterator(lines_.begin()), std::make_move_iterator(lines_.begin() + count));
  lines_.erase(lines_.begin(), lines_.begin() + count);
  return taken;
}

bool LineSource::has_input() const {
  pollfd entry{input_.descriptor, POLLIN, 0};
  return ::poll(&entry, 1, 0) > 0;
}

void LineSource::read_some() {
  std::array<char, 16384> bytes;
  const ssize_t count = ::read(input_.descriptor, bytes.data(), bytes.size());
  if (count < 0) {
    if (errno == EINTR) return;
    core::user_error("cannot read the requests from {}: {}", input_.name, std::strerror(errno));
  }
  has_ended_ = count == 0;
  if (has_ended_ && has_begun_) end_line();
  take_bytes(bytes.data(), static_cast<std::size_t>(count));
}

void LineSource::take_bytes(const char* bytes, std::size_t count) {
  while (count > 0) {
    const auto* end = static_cast<const char*>(std::memchr(bytes, '\n', count));
    const std::size_t length = end == nullptr ? count : static_cast<std::size_t>(end - bytes);
    has_begun_ = true;
    line_.text.append(bytes, std::min(length, longest_ + 1 - std::min(line_.text.size(), longest_ + 1)));
    if (end == nullptr) return;
    end_line();
    bytes += length + 1;
    count -= length + 1;
  }
}

void LineSource::end_line() {
  line_.number = ++num_lines_;
  if (line_.text.ends_with('\r')) line_.text.pop_back();
  line_.is_too_long = line_.text.size() > longest_;
  line_.text.resize(std::min(line_.text.size(), longest_));
  lines_.push_back(std::exchange(line_, {}));
  has_begun_ = false;
}

}  // namespace allreco::recommend
