// BoundedSocket: a connection whose reading and writing have limits of bytes and time; StopEvent: what wakes those that
// wait for a request.
#pragma once
#include <sys/types.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>

#include "recommend/http_limits.h"

namespace allreco::recommend {

/// Once set, it wakes everyone who polls its descriptor. Any thread.
class StopEvent {
 public:
  StopEvent();
  ~StopEvent();
  StopEvent(const StopEvent&) = delete;
  StopEvent& operator=(const StopEvent&) = delete;
  void set();
  bool is_set() const { return is_set_; }
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
  std::atomic<bool> is_set_{false};
};

/// One thread. The socket stays the caller's; limits and event outlive this.
class BoundedSocket {
 public:
  BoundedSocket(int socket, const HttpLimits& limits, const StopEvent& stop)
      : socket_(socket), limits_(limits), stop_(stop) {}

  /// Whether a request begins before the connection has been idle for too long; once the server stops, whether one is
  /// there already.
  bool wait_for_request() const;
  /// From here on count bytes and time of one request.
  void begin_request();

  /// Some bytes; 0 at the end of the stream; -1 for an error, and when the request has too many bytes or takes too
  /// long.
  ssize_t read(char* to, std::size_t size);
  /// All bytes, or -1.
  ssize_t write(const char* from, std::size_t size) const;
  bool is_readable() const { return begin_ < end_ || poll_for(kReadable, deadline_); }
  bool is_writable() const { return poll_for(kWritable, Clock::now() + limits_.response); }

  /// Before the socket is closed on a client that still sends, which would take our answer away from it: what it sends
  /// is read and thrown away for a while.
  void linger();
  int descriptor() const { return socket_; }

 private:
  using Clock = std::chrono::steady_clock;
  static const short kReadable, kWritable;
  bool poll_for(short events, Clock::time_point deadline) const;
  bool fill();

  const int socket_;
  const HttpLimits& limits_;
  const StopEvent& stop_;
  std::array<char, 8192> buffer_;
  std::size_t begin_ = 0, end_ = 0;  // what is in the buffer
  std::size_t bytes_left_ = 0;       // of this request
  Clock::time_point deadline_;       // of this request
  bool has_ended_ = false;
};

}  // namespace allreco::recommend
