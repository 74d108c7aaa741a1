#include "recommend/bounded_socket.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "core/check.h"

namespace allreco::recommend {

namespace {

int milliseconds_until(std::chrono::steady_clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1'000'000));
}

bool may_try_again() { return errno == EAGAIN || errno == EINTR; }

}  // namespace

StopEvent::StopEvent() : descriptor_(::eventfd(0, EFD_CLOEXEC)) {
  if (descriptor_ < 0) core::fault("eventfd failed: {}", std::strerror(errno));
}

StopEvent::~StopEvent() { ::close(descriptor_); }

void StopEvent::set() {
  is_set_ = true;
  ::eventfd_write(descriptor_, 1);
}

const short BoundedSocket::kReadable = POLLIN;
const short BoundedSocket::kWritable = POLLOUT;

bool BoundedSocket::poll_for(short events, Clock::time_point deadline) const {
  pollfd entry{socket_, events, 0};
  while (true) {
    const int ready = ::poll(&entry, 1, milliseconds_until(deadline));
    if (ready >= 0 || errno != EINTR) return ready > 0;
  }
}

bool BoundedSocket::wait_for_request() const {
  if (begin_ < end_) return true;
  std::array<pollfd, 2> entries{{{socket_, POLLIN, 0}, {stop_.descriptor(), POLLIN, 0}}};
  const auto deadline = Clock::now() + limits_.idle;
  while (::poll(entries.data(), entries.size(), milliseconds_until(deadline)) < 0 && errno == EINTR) {
  }
  return entries[0].revents != 0;
}

void BoundedSocket::begin_request() {
  bytes_left_ = limits_.max_request_bytes;
  deadline_ = Clock::now() + limits_.request;
}

bool BoundedSocket::fill() {
  if (has_ended_ || !poll_for(kReadable, deadline_)) return false;
  const ssize_t count = ::recv(socket_, buffer_.data(), buffer_.size(), 0);
  has_ended_ = count <= 0;
  begin_ = 0;
  end_ = count > 0 ? static_cast<std::size_t>(count) : 0;
  return count > 0;
}

ssize_t BoundedSocket::read(char* to, std::size_t size) {
  if (begin_ == end_ && !fill()) return has_ended_ ? 0 : -1;
  const std::size_t count = std::min({size, end_ - begin_, bytes_left_});
  if (count == 0) return -1;
  std::memcpy(to, buffer_.data() + begin_, count);
  begin_ += count;
  bytes_left_ -= count;
  return static_cast<ssize_t>(count);
}

ssize_t BoundedSocket::write(const char* from, std::size_t size) const {
  const auto deadline = Clock::now() + limits_.response;
  for (std::size_t done = 0; done < size;) {
    const ssize_t count = ::send(socket_, from + done, size - done, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count > 0) {
      done += static_cast<std::size_t>(count);
    } else if (count == 0 || !may_try_again() || !poll_for(kWritable, deadline)) {
      return -1;
    }
  }
  return static_cast<ssize_t>(size);
}

void BoundedSocket::linger() {
  ::shutdown(socket_, SHUT_WR);
  const auto deadline = Clock::now() + limits_.linger;
  while (!has_ended_ && poll_for(kReadable, deadline)) {
    const ssize_t count = ::recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    has_ended_ = count == 0 || (count < 0 && !may_try_again());
    if (Clock::now() >= deadline) break;  // it may send for ever
  }
}

}  // namespace allreco::recommend
