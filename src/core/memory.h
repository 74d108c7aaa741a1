// How much memory this process may use, and what becomes of what it frees.
#pragma once
#include <cstdint>
#include <exception>
#include <filesystem>
#include <string>
#include <string_view>

namespace allreco::core {

/// The smallest limit of this process's control group (version 2 or 1) and its parents, in bytes; 0: none. `root`:
/// where /proc and /sys lie.
std::int64_t memory_limit_bytes(const std::filesystem::path& root = "/");

/// What can be taken without swapping or a kill: MemAvailable of /proc/meminfo, at most what is left of the
/// limits above; the page cache that a group would give back counts as left.
std::int64_t available_memory_bytes(const std::filesystem::path& root = "/");

/// Of this process, what lies in memory now, and the most of it since the start or the last reset. 0: the kernel does
/// not say.
std::int64_t resident_bytes();
std::int64_t peak_resident_bytes();
/// False where the kernel does not allow it: the peak then still counts from the start.
bool reset_peak_resident_bytes();

/// What an exception says; one that means that memory ran out (of the allocator, of libtorch on CPU or GPU) becomes a
/// sentence of how much was asked for, where that is known, and of what to do. `advice`: what the command can do beside
/// what always helps ("Use a smaller x"); empty: nothing. A length that no memory could hold is named as such. A Fault
/// is a text already.
std::string failure_text(const std::exception& error, std::string_view advice = {});

/// From now on freed tensors go back to the system. By itself the allocator soon stops doing so, and large tensors that
/// come and go one by one (a model that is read) leave gaps among small ones that stay.
void return_freed_memory();
/// From now on freed memory stays in the process, for tensors that come again in every step: giving them back would
/// cost a page fault per 4 KiB each time.
void keep_freed_memory();

}  // namespace allreco::core
