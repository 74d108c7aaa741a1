// The service over HTTP: connections ask, one thread answers in batches.
#pragma once
#include <cstddef>
#include <string>

#include "recommend/http_server.h"
#include "recommend/recommender.h"

namespace allreco::recommend {

struct ServeOptions {
  Address address;
  Request defaults;                // what a request does not say
  std::size_t batch_size = 32;     // requests that are computed together, where so many are waiting
  std::size_t max_waiting = 256;   // requests; further ones get a 503
  std::string memory_advice = {};  // core::failure_text
};

/// Prints the address, serves until SIGTERM, SIGINT or SIGUSR1, answers what was asked until then, and returns. The
/// calling thread computes. UserError when the address cannot be had.
void serve(Recommender& recommender, const ServeOptions& options);

}  // namespace allreco::recommend
