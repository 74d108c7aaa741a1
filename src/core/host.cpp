#include "core/host.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <string_view>

namespace allreco::core {
namespace {

constexpr int kMostGpus = 64;  // of one machine; its device files are numbered from 0

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

int num_nvidia_gpus(const std::string& devices, const char* visible_devices) {
  int count = 0;
  // access() asks the control group as well, which a scheduler uses to hide GPUs. The numbers may have gaps then.
  for (int gpu = 0; gpu < kMostGpus; ++gpu) {
    const std::string file = devices + "/nvidia" + std::to_string(gpu);
    count += ::access(file.c_str(), R_OK | W_OK) == 0 ? 1 : 0;
  }
  if (visible_devices == nullptr) return count;
  const std::string_view visible = visible_devices;
  const auto num_visible = visible.empty() ? 0 : 1 + std::count(visible.begin(), visible.end(), ',');
  return std::min(count, static_cast<int>(num_visible));
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
