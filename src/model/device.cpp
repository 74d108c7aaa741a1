#include "model/device.h"

#include <ATen/Context.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <cstdlib>

#include "core/check.h"

namespace allreco::model {
namespace {

bool has_cuda_backend() { return c10::impl::hasDeviceGuardImpl(c10::DeviceType::CUDA); }

void check_cuda() {
  if (!has_cuda_backend()) {
    core::user_error(
        "device = cuda: this program was built without CUDA. Build the preset cuda (launch/build.sh cuda) and run that "
        "one, or use device = cpu");
  }
  if (num_cuda_devices() == 0) {
    core::user_error(
        "device = cuda: no GPU is visible here. nvidia-smi must list one (the driver may be missing, or too old for "
        "CUDA 13), and CUDA_VISIBLE_DEVICES must not hide it; or use device = cpu");
  }
}

}  // namespace

std::int64_t num_cuda_devices() {
  return has_cuda_backend() ? c10::impl::getDeviceGuardImpl(c10::DeviceType::CUDA)->deviceCount() : 0;
}

c10::Device choose_device(const std::string& option, std::int64_t local_rank) {
  if (option != "auto" && option != "cpu" && option != "cuda") {
    core::user_error("device = {} is not known, expected auto, cpu or cuda", option);
  }
  if (option == "cpu" || (option == "auto" && num_cuda_devices() == 0)) return c10::Device(c10::DeviceType::CPU);
  check_cuda();
  const c10::Device device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(local_rank % num_cuda_devices()));
  c10::impl::getDeviceGuardImpl(c10::DeviceType::CUDA)->setDevice(device);
  return device;
}

// https://docs.nvidia.com/cuda/cublas, Results reproducibility: one of two settings, read when cuBLAS starts.
void compute_deterministically(c10::Device device) {
  if (!device.is_cuda()) return;
  constexpr const char* variable = "CUBLAS_WORKSPACE_CONFIG";
  const char* const set = std::getenv(variable);
  const std::string value = set == nullptr ? "" : set;
  if (value.empty()) {
    if (::setenv(variable, ":4096:8", /*overwrite=*/1) != 0) core::fault("setting {} failed", variable);
  } else if (value != ":4096:8" && value != ":16:8") {
    core::user_error("{} = {} in the environment: deterministic = true needs :4096:8 or :16:8 there; unset it",
                     variable, value);
  }
  at::Context& torch = at::globalContext();
  torch.setDeterministicAlgorithms(true, /*warn_only=*/false);
  torch.setDeterministicFillUninitializedMemory(false);  // or each new tensor would be filled with NaN first
}

void wait_for_device(c10::Device device) {
  if (!device.is_cpu()) c10::impl::getDeviceGuardImpl(device.type())->synchronizeDevice(device.index());
}

std::int64_t peak_device_bytes(c10::Device device) {
  if (device.is_cpu()) return 0;
  c10::DeviceAllocator* const allocator = c10::getDeviceAllocator(device.type());
  if (!allocator->initialized()) return 0;
  const auto stats = allocator->getDeviceStats(device.index());
  return stats.allocated_bytes[static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE)].peak;
}

}  // namespace allreco::model
