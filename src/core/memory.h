// How much memory this process may use.
#pragma once
#include <cstdint>
#include <filesystem>

namespace allreco::core {

/// The smallest limit of this process's control group (version 2 or 1) and its parents, in bytes; 0: none. `root`:
/// where /proc and /sys lie.
std::int64_t memory_limit_bytes(const std::filesystem::path& root = "/");

/// What can be taken without swapping or a kill: MemAvailable of /proc/meminfo, at most what is left of the
/// limits above; the page cache that a group would give back counts as left.
std::int64_t available_memory_bytes(const std::filesystem::path& root = "/");

}  // namespace allreco::core
