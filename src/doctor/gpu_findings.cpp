// Driver, devices and NCCL. A machine without GPUs is fine for a program that was built without CUDA.
#include <fmt/format.h>

#include <map>
#include <set>

#include "core/check.h"
#include "dist/gpu_placement.h"
#include "doctor/findings.h"

namespace allreco::doctor {

namespace {

using Level = Finding::Level;

constexpr std::int64_t kCuda = 13000;         // CUDA 13.0: the libraries of the torch wheel that a CUDA build uses
constexpr const char* kOldestDriver = "580";  // the first release for it

std::string driver_text(const GpuFacts& gpu) {
  const std::string cuda =
      gpu.driver_cuda > 0 ? fmt::format(" for CUDA {}.{}", gpu.driver_cuda / 1000, gpu.driver_cuda % 1000 / 10) : "";
  return (gpu.driver_release.empty() ? "driver" : "driver " + gpu.driver_release) + cuda;
}

/// What stands between the GPUs on the bus and a program that was built for them. The first that applies.
Finding judge_driver(const GpuFacts& gpu) {
  if (gpu.num_on_bus > 0 && gpu.driver_release.empty() && !gpu.driver_error.empty())
    return {Level::error, "GPU", "",
            fmt::format("{} on the bus, but no NVIDIA driver ({})", gpu.num_on_bus, gpu.driver_error),
            fmt::format("install NVIDIA driver {} or newer (nvidia-smi must list the GPUs)", kOldestDriver)};
  if (gpu.driver_cuda > 0 && gpu.driver_cuda < kCuda)
    return {Level::error, "GPU", "", fmt::format("{} is too old: this program needs CUDA 13", driver_text(gpu)),
            fmt::format("install NVIDIA driver {} or newer", kOldestDriver)};
  if (!gpu.driver_release.empty() && !gpu.driver_error.empty())
    return {Level::error, "GPU", "",
            fmt::format("{} is loaded, but cannot be used: {}", driver_text(gpu), gpu.driver_error),
            "give the process the driver's libraries and /dev/nvidia* (docker run --gpus all; srun --gpus), and check "
            "that library and kernel module are of one release"};
  if (!gpu.torch_has_cuda)
    return {Level::error, "GPU", "", "this program was built with CUDA, but its libtorch has none",
            "run launch/setup.sh --cuda and build the preset cuda again"};
  if (gpu.num_visible == 0)
    return {Level::warning, "GPU", "", "none visible: computes on the CPU",
            "check nvidia-smi and CUDA_VISIBLE_DEVICES, or ask SLURM for --gpus"};
  if (gpu.num_usable < gpu.num_visible)
    return {Level::error, "GPU", "", fmt::format("the driver shows {}, libtorch {}", gpu.num_visible, gpu.num_usable),
            "check that nvidia-smi works and that no GPU is lost (dmesg | grep NVRM)"};
  return {Level::ok, "GPU", "", fmt::format("{} visible, {}", gpu.num_visible, driver_text(gpu)), ""};
}

Finding judge_without_cuda(const GpuFacts& gpu) {
  if (gpu.num_on_bus == 0 && gpu.num_visible == 0) return {Level::ok, "GPU", "", "none; this program has no CUDA", ""};
  const std::string driver =
      gpu.driver_error.empty() ? driver_text(gpu) : fmt::format("no usable driver: {}", gpu.driver_error);
  return {Level::warning, "GPU", "",
          fmt::format("{} idle ({}): this program was built without CUDA", std::max(gpu.num_on_bus, gpu.num_visible),
                      driver),
          "build the preset cuda (launch/build.sh cuda) to use them"};
}

std::string minor_of(const std::string& version) { return version.substr(0, version.rfind('.')); }

void judge_nccl(const std::vector<RankFacts>& facts, Findings& findings) {
  std::map<std::string, std::string> host_with;
  for (const RankFacts& rank : facts) {
    const GpuFacts& gpu = rank.gpu;
    host_with.emplace(gpu.nccl_at_run_time, rank.host);
    if (gpu.nccl_at_run_time.empty())
      findings.push_back({Level::error, "NCCL", rank.host, "libnccl.so.2 is not found",
                          "run launch/setup.sh --cuda; LD_LIBRARY_PATH must not hide it"});
    else if (gpu.nccl_at_run_time != gpu.nccl_of_build)
      findings.push_back(
          {minor_of(gpu.nccl_at_run_time) == minor_of(gpu.nccl_of_build) ? Level::warning : Level::error, "NCCL",
           rank.host,
           fmt::format("{} is loaded, but the program was built with {}", gpu.nccl_at_run_time, gpu.nccl_of_build),
           "remove the other libnccl.so.2 from LD_LIBRARY_PATH and LD_PRELOAD, or build again"});
    else
      findings.push_back({Level::ok, "NCCL", rank.host, gpu.nccl_at_run_time, ""});
  }
  if (host_with.size() < 2) return;
  std::string found = "versions differ:";
  for (const auto& [version, host] : host_with)
    found += fmt::format(" {} on {};", version.empty() ? "none" : version, host);
  found.pop_back();
  findings.push_back({Level::error, "NCCL", "", found, "use one version on every host"});
}

/// By the rule of `train` itself.
void judge_placement(const std::vector<RankFacts>& facts, Findings& findings) {
  std::vector<dist::GpuPlace> places;
  for (const RankFacts& rank : facts)
    places.push_back({rank.host, rank.machine, {rank.gpu.own_uuid, rank.gpu.own_pci_bus_id}});
  try {
    dist::judge_gpu_placement(places, /*allow_gpu_sharing=*/false);
  } catch (const core::UserError& e) {
    findings.push_back({Level::error, "GPU", "", "ranks and GPUs do not fit", e.what()});
  }
}

}  // namespace

void judge_gpus(const std::vector<RankFacts>& facts, Findings& findings) {
  bool any_gpu = false, any_error = false;
  for (const auto& ranks : by_host(facts)) {
    const RankFacts& host = ranks[0];
    const GpuFacts& gpu = host.gpu;
    Finding finding = gpu.built_with_cuda ? judge_driver(gpu) : judge_without_cuda(gpu);
    finding.where = host.host;
    findings.push_back(finding);
    any_error = any_error || finding.level == Level::error;
    any_gpu = any_gpu || (gpu.built_with_cuda && gpu.num_visible > 0);
  }
  if (!any_error) judge_placement(facts, findings);
  if (any_gpu) judge_nccl(facts, findings);
}

}  // namespace allreco::doctor
