#include "core/memory.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

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

}  // namespace

std::int64_t memory_limit_bytes() {
  std::int64_t smallest = 0;
  const auto take = [&](std::int64_t limit) {
    if (limit > 0 && (smallest == 0 || limit < smallest)) smallest = limit;
  };
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const bool second = line.starts_with("0::");
    if (!second && line.find(":memory:") == std::string::npos) continue;
    const fs::path root = second ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    const char* const file = second ? "memory.max" : "memory.limit_in_bytes";
    take(limit_in(root / file));
    fs::path group = root;
    for (const fs::path& part : fs::path(line.substr(line.rfind(':') + 1)).relative_path()) {
      group /= part;
      take(limit_in(group / file));
    }
  }
  return smallest;
}

std::int64_t available_memory_bytes() {
  std::ifstream in("/proc/meminfo");
  std::int64_t available = std::numeric_limits<std::int64_t>::max();  // a system that does not say
  std::string key, unit;
  for (std::int64_t kib = 0; in >> key >> kib; std::getline(in, unit))
    if (key == "MemAvailable:") available = kib * 1024;
  const std::int64_t limit = memory_limit_bytes();
  return limit > 0 ? std::min(limit, available) : available;
}

}  // namespace allreco::core
