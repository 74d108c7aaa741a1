#include "core/memory.h"

#include <fmt/core.h>
#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>

#include "core/check.h"

namespace allreco::core {
namespace fs = std::filesystem;

namespace {

/// 0 where there is no file or no limit. Version 1 writes a huge number for none.
std::int64_t limit_in(const fs::path& file) {
  std::ifstream in(file);
  std::string text;
  if (!(in >> text) || text == "max") return 0;
  const std::int64_t value = std::strtoll(text.c_str(), nullptr, 10);
  return value >= std::int64_t{1} << 60 ? 0 : value;
}

/// A control group's limit (0: none) and what it uses, without the page cache that it would give back.
struct Group {
  std::int64_t limit = 0, used = 0;
};

/// With the groups below, as what is used. Version 1 says that further down, after the group's own.
std::int64_t inactive_file_bytes(const fs::path& stat) {
  std::ifstream in(stat);
  std::string key;
  std::int64_t bytes = 0;
  for (std::int64_t value = 0; in >> key >> value;)
    if (key == "inactive_file" || key == "total_inactive_file") bytes = value;
  return bytes;
}

Group read_group(const fs::path& group, bool second) {
  return {limit_in(group / (second ? "memory.max" : "memory.limit_in_bytes")),
          limit_in(group / (second ? "memory.current" : "memory.usage_in_bytes")) -
              inactive_file_bytes(group / "memory.stat")};
}

/// This process's control group (version 2 or 1) and its parents.
void for_each_group(const fs::path& root, const std::function<void(const Group&)>& visit) {
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const bool second = line.starts_with("0::");
    if (!second && line.find(":memory:") == std::string::npos) continue;
    fs::path group = root / (second ? "sys/fs/cgroup" : "sys/fs/cgroup/memory");
    visit(read_group(group, second));
    for (const fs::path& part : fs::path(line.substr(line.rfind(':') + 1)).relative_path()) {
      group /= part;
      visit(read_group(group, second));
    }
  }
}

/// " (asked for: 2.00 GiB)", where the text says "[Tt]ried to allocate SIZE UNIT.", as libtorch's do on CPU and GPU.
std::string size_asked_for(std::string_view text) {
  constexpr std::string_view kAsked = "ried to allocate ";
  const std::size_t found = text.find(kAsked);
  if (found == std::string_view::npos) return {};
  const std::string_view size = text.substr(found + kAsked.size());
  return fmt::format(" (asked for: {})", size.substr(0, size.find_first_of(".\n", size.find(' '))));
}

std::string out_of_memory(const char* which, std::string_view text, std::string_view advice, const char* always) {
  return fmt::format("{} ran out{}. {}{}{}", which, size_asked_for(text), advice, advice.empty() ? "" : ". ", always);
}

}  // namespace

std::int64_t memory_limit_bytes(const fs::path& root) {
  std::int64_t smallest = 0;
  for_each_group(root, [&](const Group& group) {
    if (group.limit > 0 && (smallest == 0 || group.limit < smallest)) smallest = group.limit;
  });
  return smallest;
}

std::int64_t available_memory_bytes(const fs::path& root) {
  std::ifstream in(root / "proc/meminfo");
  std::int64_t available = std::numeric_limits<std::int64_t>::max();  // a system that does not say
  std::string key, unit;
  for (std::int64_t kib = 0; in >> key >> kib; std::getline(in, unit))
    if (key == "MemAvailable:") available = kib * 1024;
  for_each_group(root, [&](const Group& group) {
    if (group.limit > 0) available = std::min(available, std::max<std::int64_t>(0, group.limit - group.used));
  });
  return available;
}

namespace {

/// "VmHWM:     1234 kB" in /proc/self/status.
std::int64_t status_bytes(const std::string& key) {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(key)) return std::strtoll(line.c_str() + key.size(), nullptr, 10) * 1024;
  return 0;
}

}  // namespace

std::int64_t resident_bytes() { return status_bytes("VmRSS:"); }
std::int64_t peak_resident_bytes() { return status_bytes("VmHWM:"); }

bool reset_peak_resident_bytes() {  // proc(5), clear_refs
  std::ofstream out("/proc/self/clear_refs");
  out << "5" << std::flush;
  return out.good();
}

std::string failure_text(const std::exception& error, std::string_view advice) {
  const std::string_view text = error.what();
  const auto says = [&](std::string_view part) { return text.find(part) != std::string_view::npos; };
  if (dynamic_cast<const Fault*>(&error) != nullptr) return std::string(text);
  if (dynamic_cast<const std::length_error*>(&error) != nullptr)
    return fmt::format("something was to be longer than any memory can hold ({})", text);
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr || says("DefaultCPUAllocator: "))
    return out_of_memory("memory", text, advice,
                         "Give the process more (ulimit -v, the job's limit) or start fewer ranks on this host");
  if (says("CUDA out of memory"))
    return out_of_memory("the GPU's memory", text, advice, "Leave the GPU to this process alone");
  return std::string(text);
}

void return_freed_memory() {
  mallopt(M_MMAP_THRESHOLD, 1 << 20);  // a number, too, keeps the allocator from raising it (mallopt(3))
}

void keep_freed_memory() {
  constexpr int never = 1 << 30, most_before_glibc_2_35 = 32 << 20;
  if (mallopt(M_MMAP_THRESHOLD, never) == 0) mallopt(M_MMAP_THRESHOLD, most_before_glibc_2_35);
  mallopt(M_TRIM_THRESHOLD, never);
}

}  // namespace allreco::core
