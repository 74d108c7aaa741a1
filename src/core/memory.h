// How much memory this process may use.
#pragma once
#include <cstdint>

namespace allreco::core {

/// The smallest limit of this process's control group (version 2 or 1) and its parents, in bytes; 0: none.
std::int64_t memory_limit_bytes();

/// What can be taken without swapping or a kill: MemAvailable of /proc/meminfo, at most what is left of the
/// limits above.
std::int64_t available_memory_bytes();

}  // namespace allreco::core
