// GPUs, driver and NCCL as the system shows them. Everything is opened at run time, so that a build without CUDA can
// tell about them, too.
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include "dist/gpu_placement.h"
#include "doctor/facts.h"
#include "model/device.h"

namespace allreco::doctor {
namespace fs = std::filesystem;

namespace {

class Library {
 public:
  explicit Library(const char* name) : handle_(::dlopen(name, RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) error_ = ::dlerror();
  }
  ~Library() {
    if (handle_ != nullptr) ::dlclose(handle_);
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  const std::string& error() const { return error_; }

  /// Calls `int name(arguments...)`; -1 where the library has no such function.
  template <class... Arguments>
  int call(const char* name, Arguments... arguments) const {
    void* const symbol = handle_ == nullptr ? nullptr : ::dlsym(handle_, name);
    if (symbol == nullptr) return -1;
    return reinterpret_cast<int (*)(Arguments...)>(symbol)(arguments...);
  }

 private:
  void* handle_;
  std::string error_;
};

std::int64_t num_gpus_on_bus() {
  std::int64_t count = 0;
  std::error_code error;
  for (const auto& device : fs::directory_iterator("/sys/bus/pci/devices", error)) {
    const bool nvidia = first_word_of(device.path() / "vendor") == "0x10de";
    count += nvidia && first_word_of(device.path() / "class").starts_with("0x03") ? 1 : 0;  // display controller
  }
  return count;
}

/// "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  ...": the first word that is a release.
std::string driver_release() {
  std::ifstream in("/proc/driver/nvidia/version");
  std::string line;
  std::getline(in, line);
  std::istringstream words(line);
  for (std::string word; words >> word;)
    if (word.find('.') != std::string::npos && word.find_first_not_of("0123456789.") == std::string::npos) return word;
  return {};
}

// cuDriverGetVersion, cuInit and cuDeviceGetCount (CUDA driver API) return 0 for success.
void ask_driver(GpuFacts& facts) {
  const Library cuda("libcuda.so.1");
  facts.driver_error = cuda.error();
  if (!facts.driver_error.empty()) return;
  int version = 0, count = 0;
  if (cuda.call("cuDriverGetVersion", &version) == 0) facts.driver_cuda = version;
  if (const int code = cuda.call("cuInit", 0u); code != 0)
    facts.driver_error = fmt::format("cuInit failed with error {}", code);
  else if (cuda.call("cuDeviceGetCount", &count) == 0)
    facts.num_visible = count;
}

/// CUDA writes a bus id in capitals, and sysfs in small letters.
int numa_node_of(std::string pci_bus_id) {
  for (char& c : pci_bus_id) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const std::string node = first_word_of("/sys/bus/pci/devices/" + pci_bus_id + "/numa_node");
  return node.empty() ? -1 : std::atoi(node.c_str());
}

/// NCCL counts 2.28.9 as 22809.
std::string nccl_at_run_time() {
  const Library nccl("libnccl.so.2");
  int version = 0;
  if (nccl.call("ncclGetVersion", &version) != 0) return {};
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

}  // namespace

GpuFacts gather_gpu_facts(int local_rank) {
  GpuFacts facts;
  facts.num_on_bus = num_gpus_on_bus();
  facts.driver_release = driver_release();
  ask_driver(facts);
  facts.nccl_of_build = ALLRECO_NCCL_VERSION;
  facts.built_with_cuda = !facts.nccl_of_build.empty();
  facts.torch_has_cuda = c10::impl::hasDeviceGuardImpl(c10::DeviceType::CUDA);
  facts.num_usable = model::num_cuda_devices();
  if (facts.built_with_cuda && facts.num_usable > 0) {
    const dist::GpuIdentity own = dist::identify_gpu(static_cast<int>(local_rank % facts.num_usable));
    facts.own_uuid = own.uuid;
    facts.own_pci_bus_id = own.pci_bus_id;
    facts.own_numa_node = numa_node_of(own.pci_bus_id);
  }
  facts.nccl_at_run_time = nccl_at_run_time();
  return facts;
}

}  // namespace allreco::doctor
