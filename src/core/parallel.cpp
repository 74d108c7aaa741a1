#include "core/parallel.h"

#include <algorithm>
#include <exception>
#include <thread>
#include <vector>

#include "core/check.h"

namespace allreco::core {

void parallel_for(std::int64_t count, std::int64_t num_threads,
                  const std::function<void(std::int64_t begin, std::int64_t end)>& work) {
  require(count >= 0 && num_threads >= 1, "a loop needs a count and a thread");
  const std::int64_t num_parts = std::min(count, num_threads);
  if (num_parts == 0) return;
  std::vector<std::exception_ptr> failures(static_cast<std::size_t>(num_parts));
  const auto run = [&](std::int64_t part) {
    try {
      work(count * part / num_parts, count * (part + 1) / num_parts);
    } catch (...) {
      failures[static_cast<std::size_t>(part)] = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> others;
    for (std::int64_t part = 1; part < num_parts; ++part) others.emplace_back(run, part);
    run(0);
  }
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
}

}  // namespace allreco::core
