#include "dist/nccl_communicator.h"

#include <ATen/cuda/CUDAEvent.h>
#include <ATen/ops/empty_like.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <nccl.h>

#include <exception>
#include <string>
#include <utility>

#include "core/check.h"
#include "core/log.h"
#include "dist/watchdog.h"

namespace allreco::dist {
namespace {

/// ncclInProgress is the normal answer of a non-blocking communicator; see NcclHandle::settle.
void check_nccl(ncclResult_t result, const char* call, ncclComm_t comm) {
  if (result == ncclSuccess || result == ncclInProgress) return;
  core::fault("NCCL failed in {}: {} ({}). Run with NCCL_DEBUG=WARN for details", call, ncclGetErrorString(result),
              ncclGetLastError(comm));
}

ncclDataType_t datatype_of(const at::Tensor& tensor) {
  if (tensor.scalar_type() == at::kFloat) return ncclFloat32;
  return tensor.scalar_type() == at::kDouble ? ncclFloat64 : ncclInt64;
}

/// Owns the ncclComm_t. Any error while waiting aborts it, so that its kernels leave the GPU and nothing later hangs on
/// it.
class NcclHandle {
 public:
  NcclHandle(const ncclUniqueId& id, int rank, int world_size, Watchdog& watchdog) : watchdog_(watchdog) {
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    config.commName = "allreco";
    guarded([&] {
      check_nccl(ncclCommInitRankConfig(&comm_, world_size, id, rank, &config), "ncclCommInitRankConfig", comm_);
      settle("starting NCCL");
    });
  }

  // Orderly only when all is well: finalize needs every rank.
  ~NcclHandle() {
    if (comm_ == nullptr) return;
    if (std::uncaught_exceptions() > exceptions_at_start_) {
      abort();
      return;
    }
    try {
      guarded([&] {
        check_nccl(ncclCommFinalize(comm_), "ncclCommFinalize", comm_);
        settle("ending NCCL");
      });
      ncclCommDestroy(comm_);
    } catch (const std::exception& e) {
      core::log_error("{}", e.what());
    }
  }
  NcclHandle(const NcclHandle&) = delete;
  NcclHandle& operator=(const NcclHandle&) = delete;

  ncclComm_t get() const {
    if (comm_ == nullptr) core::fault("NCCL was aborted after an error");
    return comm_;
  }

  /// Runs `work`; aborts the communicator when it throws.
  template <class F>
  void guarded(F work) {
    try {
      work();
    } catch (...) {
      abort();
      throw;
    }
  }

  /// Throws a Fault for an error that NCCL found in the background; false while a call is still being taken in.
  bool is_settled() const {
    ncclResult_t state = ncclSuccess;
    check_nccl(ncclCommGetAsyncError(get(), &state), "ncclCommGetAsyncError", comm_);
    check_nccl(state, "a collective under way", comm_);
    return state != ncclInProgress;
  }

  /// Waits until NCCL has taken in the last call (not until the GPU has done it).
  void settle(const char* operation) {
    watchdog_.wait(operation, [this] { return is_settled(); });
  }

 private:
  void abort() noexcept {
    if (comm_ != nullptr) ncclCommAbort(std::exchange(comm_, nullptr));
  }

  Watchdog& watchdog_;
  ncclComm_t comm_ = nullptr;
  int exceptions_at_start_ = std::uncaught_exceptions();
};

class NcclWork final : public Work {
 public:
  /// `done` is recorded behind the operation on NCCL's stream. The tensor stays alive until then.
  NcclWork(const char* operation, at::Tensor tensor, at::cuda::CUDAEvent done, NcclHandle& handle, Watchdog& watchdog)
      : operation_(operation),
        tensor_(std::move(tensor)),
        done_(std::move(done)),
        handle_(handle),
        watchdog_(watchdog) {}

  bool poll() override {
    handle_.is_settled();
    return done_.query();
  }

  void wait() override {
    handle_.guarded([&] { watchdog_.wait(operation_, [this] { return poll(); }); });
  }

 private:
  const char* operation_;
  at::Tensor tensor_;
  at::cuda::CUDAEvent done_;
  NcclHandle& handle_;
  Watchdog& watchdog_;
};

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(Session& session, int device, const ncclUniqueId& id)
      : rank_(session.rank()),
        world_size_(session.world_size()),
        device_(static_cast<c10::DeviceIndex>(device)),
        watchdog_(session.watchdog()),
        stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/true, device_)),
        handle_(id, rank_, world_size_, watchdog_) {}

  int rank() const override { return rank_; }
  int world_size() const override { return world_size_; }

  std::unique_ptr<Work> start_all_reduce_sum(at::Tensor tensor) override {
    check_reducible(tensor);
    return start("all_reduce_sum", std::move(tensor), [this](const at::Tensor& t) {
      return ncclAllReduce(t.data_ptr(), t.data_ptr(), static_cast<size_t>(t.numel()), datatype_of(t), ncclSum,
                           handle_.get(), stream_.stream());
    });
  }

  std::unique_ptr<Work> start_tree_sum(at::Tensor tensor) override {
    check_reducible(tensor);
    check_tree_world(world_size_);
    const at::Tensor theirs = at::empty_like(tensor);
    c10::cuda::CUDACachingAllocator::recordStream(theirs.storage().data_ptr(), stream_);
    return start("all_reduce_sum", std::move(tensor), [this, theirs](const at::Tensor& t) {
      for (int distance = 1; distance < world_size_; distance *= 2) {
        if (const ncclResult_t result = swap_with(rank_ ^ distance, t, theirs); result != ncclSuccess) return result;
        handle_.settle("all_reduce_sum");
        const c10::cuda::CUDAStreamGuard on_stream(stream_);
        t.add_(theirs);
      }
      return ncclSuccess;
    });
  }

  void broadcast(at::Tensor tensor, int root) override {
    check_broadcastable(tensor, root, world_size_);
    start("broadcast", std::move(tensor), [this, root](const at::Tensor& t) {
      return ncclBroadcast(t.data_ptr(), t.data_ptr(), t.nbytes(), ncclInt8, root, handle_.get(), stream_.stream());
    })->wait();
  }

 private:
  /// Sends `mine` to the partner and receives its tensor into `theirs`, on NCCL's own stream.
  ncclResult_t swap_with(int partner, const at::Tensor& mine, const at::Tensor& theirs) {
    const auto count = static_cast<size_t>(mine.numel());
    check_nccl(ncclGroupStart(), "ncclGroupStart", handle_.get());
    check_nccl(ncclSend(mine.data_ptr(), count, datatype_of(mine), partner, handle_.get(), stream_.stream()),
               "ncclSend", handle_.get());
    check_nccl(ncclRecv(theirs.data_ptr(), count, datatype_of(theirs), partner, handle_.get(), stream_.stream()),
               "ncclRecv", handle_.get());
    const ncclResult_t result = ncclGroupEnd();
    return result == ncclInProgress ? ncclSuccess : result;
  }

  /// Behind what torch's current stream holds now, on NCCL's own stream.
  template <class Issue>
  std::unique_ptr<Work> start(const char* operation, at::Tensor tensor, Issue issue) {
    if (!tensor.is_cuda() || tensor.get_device() != device_)
      core::fault("NCCL reduces tensors on cuda:{}, not one on {}", static_cast<int>(device_), tensor.device().str());
    watchdog_.begin(operation);
    const c10::cuda::CUDAGuard on_device(device_);
    at::cuda::CUDAEvent ready, done;
    ready.record(c10::cuda::getCurrentCUDAStream(device_));
    ready.block(stream_);
    handle_.guarded([&] {
      check_nccl(issue(tensor), operation, handle_.get());
      handle_.settle(operation);
    });
    done.record(stream_);
    // Should an error drop the Work early, the allocator must not give the memory away while NCCL still uses it.
    c10::cuda::CUDACachingAllocator::recordStream(tensor.storage().data_ptr(), stream_);
    return std::make_unique<NcclWork>(operation, std::move(tensor), std::move(done), handle_, watchdog_);
  }

  int rank_;
  int world_size_;
  c10::DeviceIndex device_;
  Watchdog& watchdog_;
  c10::cuda::CUDAStream stream_;
  NcclHandle handle_;
};

void check_device(int device) {
  const int count = c10::cuda::device_count();
  if (device < 0 || device >= count)
    core::user_error("this rank was given CUDA device {} but its node shows {}: start one rank per GPU", device, count);
}

}  // namespace

std::unique_ptr<Communicator> make_nccl_communicator(Session& session, int device) {
  ncclUniqueId id{};
  session.together("preparing NCCL", [&] {
    check_device(device);
    if (session.is_leader()) check_nccl(ncclGetUniqueId(&id), "ncclGetUniqueId", nullptr);
  });
  session.broadcast(std::string(id.internal, sizeof(id.internal))).copy(id.internal, sizeof(id.internal));
  std::unique_ptr<Communicator> plane;
  session.together("starting NCCL", [&] {
    const c10::cuda::CUDAGuard on_device(static_cast<c10::DeviceIndex>(device));  // NCCL binds to the current device
    plane = std::make_unique<NcclCommunicator>(session, device, id);
  });
  return plane;
}

}  // namespace allreco::dist
