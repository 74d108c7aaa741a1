// One loop on several threads.
#pragma once
#include <cstdint>
#include <functional>

namespace allreco::core {

/// Calls work(begin, end) for consecutive parts of [0, count), each on a thread of its own, at most `num_threads` (the
/// caller's among them). Returns when all are done; of what they throw, the first part's is thrown on.
/// (at::parallel_for runs on one thread where its caller is not compiled with OpenMP.)
void parallel_for(std::int64_t count, std::int64_t num_threads,
                  const std::function<void(std::int64_t begin, std::int64_t end)>& work);

}  // namespace allreco::core
