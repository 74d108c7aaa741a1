#include "core/host.h"

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <string_view>

namespace allreco::core {
namespace {

std::string kernels_host_name() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);  // cannot fail: Linux allows 64
  return name.data();
}

}  // namespace

std::string host_name() {
  const char* const node = std::getenv("SLURMD_NODENAME");
  return node != nullptr ? node : kernels_host_name();
}

std::string machine_identity() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string boot_id;
  return file >> boot_id ? boot_id : kernels_host_name();
}

std::string cpu_model() {
  constexpr std::string_view kKey = "model name";
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t value = line.find(": ");
    if (line.starts_with(kKey) && value != std::string::npos) return line.substr(value + 2);
  }
  return {};
}

}  // namespace allreco::core
