// NcclLifetime: owns a rank's NCCL communicator from init to its end, and is the one way to call it: an error on any
// path is logged and aborts the communicator, once, and nothing is called on it afterwards. Internal to dist.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/check.h"
#include "dist/nccl_api.h"
#include "dist/watchdog.h"

namespace allreco::dist {

class NcclLifetime {
 public:
  /// Collective: waits until all ranks have joined.
  NcclLifetime(std::unique_ptr<NcclApi> api, const std::string& unique_id, int rank, int world_size,
               Watchdog& watchdog);
  /// Collective when all is well: finalize needs every rank. If that fails the ranks are out of step. In an exception's
  /// way it aborts instead.
  ~NcclLifetime();
  NcclLifetime(const NcclLifetime&) = delete;
  NcclLifetime& operator=(const NcclLifetime&) = delete;

  /// Returns work(api). When it throws, the communicator is aborted before the error passes on. Fault after an abort.
  template <class F>
  auto guarded(F work) {
    if (aborted_) core::fault("NCCL was aborted after an error");
    try {
      return work(*api_);
    } catch (const PeerFailed&) {
      abort("another rank failed", /*is_own_error=*/false);
      throw;
    } catch (const std::exception& e) {
      abort(e.what(), /*is_own_error=*/true);
      throw;
    }
  }

  /// Inside guarded: waits until NCCL has taken in the last call (not until the GPU has done it).
  void settle(const char* operation);
  /// Inside guarded: throws what NCCL found in the background; false while a call is still being taken in.
  bool is_settled();
  /// Inside guarded: waits until `event` is passed, looking for NCCL's errors meanwhile.
  void wait(const char* operation, NcclEvent& event);
  /// The same for an event of torch's stream, before the operation: no other rank is waited for.
  void wait_for_gpu(const char* operation, NcclEvent& event);

  /// Keeps what an operation that did not end reads and writes, until the communicator is aborted, and for ever if that
  /// comes to no end.
  void abandon(std::vector<at::Tensor> buffers);

 private:
  using Buffers = std::vector<std::vector<at::Tensor>>;
  void abort(const char* reason, bool is_own_error) noexcept;

  // Shared with a thread that aborts.
  std::shared_ptr<NcclApi> api_;
  std::shared_ptr<Buffers> abandoned_ = std::make_shared<Buffers>();
  Watchdog& watchdog_;
  bool aborted_ = false;
  int exceptions_at_start_;
};

}  // namespace allreco::dist
