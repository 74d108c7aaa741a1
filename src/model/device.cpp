#include "model/device.h"

#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

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

std::int64_t peak_device_bytes(c10::Device device) {
  if (device.is_cpu()) return 0;
  c10::DeviceAllocator* const allocator = c10::getDeviceAllocator(device.type());
  if (!allocator->initialized()) return 0;
  const auto stats = allocator->getDeviceStats(device.index());
  return stats.allocated_bytes[static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE)].peak;
}

}  // namespace allreco::model
