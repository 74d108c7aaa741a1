// HttpLimits: what a client of the service can make it hold, and for how long.
#pragma once
#include <chrono>
#include <cstddef>

namespace allreco::recommend {

struct HttpLimits {
  std::size_t max_connections = 512;  // further ones get a 503 at once
  std::size_t max_body_bytes = 64 << 10;
  std::size_t max_request_bytes = 192 << 10;                      // head, body, and the frames of its chunks
  std::chrono::milliseconds idle = std::chrono::seconds(15);      // between requests of a connection
  std::chrono::milliseconds request = std::chrono::seconds(10);   // from a request's first byte to its last
  std::chrono::milliseconds response = std::chrono::seconds(10);  // until the client has taken it
  std::chrono::milliseconds linger = std::chrono::seconds(2);     // what a refused client still sends is thrown away
};

}  // namespace allreco::recommend
