// NcclApi over NCCL and CUDA. Linked in builds with CUDA.
#include <ATen/cuda/CUDAEvent.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>
#include <nccl.h>

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "dist/gpu_placement.h"
#include "dist/nccl_api.h"

namespace allreco::dist {
namespace {

std::string message_of(ncclResult_t result, const char* call, ncclComm_t comm) {
  return fmt::format("NCCL failed in {}: {} ({}). Run with NCCL_DEBUG=WARN for details", call,
                     ncclGetErrorString(result), ncclGetLastError(comm));
}

/// ncclInProgress is the normal answer of a non-blocking communicator.
bool is_error(ncclResult_t result) { return result != ncclSuccess && result != ncclInProgress; }

void check_nccl(ncclResult_t result, const char* call, ncclComm_t comm) {
  if (is_error(result)) throw core::Fault(message_of(result, call, comm));
}

ncclDataType_t datatype_of(const at::Tensor& tensor) {
  if (tensor.scalar_type() == at::kFloat) return ncclFloat32;
  return tensor.scalar_type() == at::kDouble ? ncclFloat64 : ncclInt64;
}

void check_device(int device) {
  const int count = c10::cuda::device_count();
  if (device < 0 || device >= count)
    core::user_error("this rank was given CUDA device {} but it sees {}: choose one of those that nvidia-smi lists",
                     device, count);
}

class CudaEvent final : public NcclEvent {
 public:
  explicit CudaEvent(at::cuda::CUDAEvent event) : event_(std::move(event)) {}
  bool query() override { return event_.query(); }

 private:
  at::cuda::CUDAEvent event_;
};

class CudaNcclApi final : public NcclApi {
 public:
  CudaNcclApi(int device, const NcclOptions& options)
      : options_(options),
        device_(static_cast<c10::DeviceIndex>(device)),
        stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/true, device_)) {}

  c10::Device device() const override { return {c10::DeviceType::CUDA, device_}; }

  std::string unique_id() override {
    ncclUniqueId id{};
    check_nccl(ncclGetUniqueId(&id), "ncclGetUniqueId", nullptr);
    return {id.internal, sizeof(id.internal)};
  }

  void init(const std::string& unique_id, int rank, int world_size) override {
    const c10::cuda::CUDAGuard on_device(device_);  // NCCL binds to the current device
    ncclUniqueId id{};
    core::require(unique_id.size() == sizeof(id.internal), "an id that NCCL did not make");
    unique_id.copy(id.internal, sizeof(id.internal));
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    config.commName = "allreco";
    if (options_.max_ctas > 0) config.maxCTAs = options_.max_ctas;
    check_nccl(ncclCommInitRankConfig(&comm_, world_size, id, rank, &config), "ncclCommInitRankConfig", comm_);
  }

  NcclStatus async_status() override {
    ncclResult_t state = ncclSuccess;
    check_nccl(ncclCommGetAsyncError(comm_, &state), "ncclCommGetAsyncError", comm_);
    if (is_error(state)) return {true, message_of(state, "the background", comm_)};
    return {state != ncclInProgress, ""};
  }

  std::unique_ptr<NcclEvent> follow_current_stream() override {
    const c10::cuda::CUDAGuard on_device(device_);
    at::cuda::CUDAEvent ready;
    ready.record(c10::cuda::getCurrentCUDAStream(device_));
    ready.block(stream_);
    return std::make_unique<CudaEvent>(std::move(ready));
  }

  void all_reduce_sum(const at::Tensor& t) override {
    const c10::cuda::CUDAGuard on_device(device_);
    check_nccl(ncclAllReduce(t.data_ptr(), t.data_ptr(), static_cast<size_t>(t.numel()), datatype_of(t), ncclSum, comm_,
                             stream_.stream()),
               "ncclAllReduce", comm_);
  }

  void broadcast(const at::Tensor& t, int root) override {
    const c10::cuda::CUDAGuard on_device(device_);
    check_nccl(ncclBroadcast(t.data_ptr(), t.data_ptr(), t.nbytes(), ncclInt8, root, comm_, stream_.stream()),
               "ncclBroadcast", comm_);
  }

  // The group must end even after an error: inside an open one even ncclCommAbort would only be queued.
  void exchange(int partner, const at::Tensor& mine, const at::Tensor& theirs) override {
    const c10::cuda::CUDAGuard on_device(device_);
    const auto count = static_cast<size_t>(mine.numel());
    check_nccl(ncclGroupStart(), "ncclGroupStart", comm_);
    const ncclResult_t sent = ncclSend(mine.data_ptr(), count, datatype_of(mine), partner, comm_, stream_.stream());
    const ncclResult_t received =
        ncclRecv(theirs.data_ptr(), count, datatype_of(theirs), partner, comm_, stream_.stream());
    const ncclResult_t ended = ncclGroupEnd();
    check_nccl(sent, "ncclSend", comm_);
    check_nccl(received, "ncclRecv", comm_);
    check_nccl(ended, "ncclGroupEnd", comm_);
  }

  void add(const at::Tensor& mine, const at::Tensor& theirs) override {
    const c10::cuda::CUDAStreamGuard on_stream(stream_);
    mine.add_(theirs);
  }

  std::unique_ptr<NcclEvent> record() override {
    const c10::cuda::CUDAGuard on_device(device_);
    at::cuda::CUDAEvent done;
    done.record(stream_);
    return std::make_unique<CudaEvent>(std::move(done));
  }

  void keep_alive(const at::Tensor& tensor) override {
    c10::cuda::CUDACachingAllocator::recordStream(tensor.storage().data_ptr(), stream_);
  }

  // init may have failed before there was a communicator. It runs on a thread of its own, whose current device is the
  // first one, until told otherwise; an abort must not fail for that, so no guard that throws.
  void abort() noexcept override {
    cudaSetDevice(device_);
    if (comm_ != nullptr) ncclCommAbort(std::exchange(comm_, nullptr));
  }

  void finalize() override {
    const c10::cuda::CUDAGuard on_device(device_);
    check_nccl(ncclCommFinalize(comm_), "ncclCommFinalize", comm_);
  }

  void destroy() override {
    const c10::cuda::CUDAGuard on_device(device_);
    check_nccl(ncclCommDestroy(std::exchange(comm_, nullptr)), "ncclCommDestroy", nullptr);
  }

 private:
  NcclOptions options_;
  c10::DeviceIndex device_;
  c10::cuda::CUDAStream stream_;
  ncclComm_t comm_ = nullptr;
};

std::string hexadecimal(const cudaUUID_t& uuid) {
  std::string text = "GPU-";
  for (int i = 0; i < 16; ++i) {
    text += fmt::format("{:02x}", static_cast<unsigned char>(uuid.bytes[i]));
    if (i == 3 || i == 5 || i == 7 || i == 9) text += '-';
  }
  return text;
}

}  // namespace

std::unique_ptr<NcclApi> make_nccl_api(int device, const NcclOptions& options) {
  check_device(device);
  return std::make_unique<CudaNcclApi>(device, options);
}

GpuIdentity identify_gpu(int device) {
  check_device(device);
  cudaDeviceProp properties{};
  C10_CUDA_CHECK(cudaGetDeviceProperties(&properties, device));
  char pci_bus_id[32] = "";
  C10_CUDA_CHECK(cudaDeviceGetPCIBusId(pci_bus_id, sizeof(pci_bus_id), device));
  return {hexadecimal(properties.uuid), pci_bus_id};
}

}  // namespace allreco::dist
