#include "dist/nccl_lifetime.h"

#include <chrono>
#include <exception>
#include <future>
#include <thread>
#include <utility>

#include "core/log.h"

namespace allreco::dist {
namespace {

// NCCL aborts in well under a second unless it is stuck itself, in the driver or in its network. The run must end then,
// too.
constexpr auto kAbortTime = std::chrono::seconds(10);

constexpr const char* kIfAllWait =
    "NCCL, the network or a GPU hangs. Run again with NCCL_DEBUG=INFO, look for Xid errors in dmesg and nvidia-smi on "
    "every node, and name the network interface between the nodes in NCCL_SOCKET_IFNAME";

/// Whether api.abort() came back. A thread that is stuck in it is left behind, with the api and with `buffers`, which
/// NCCL may still write to: the process ends soon.
bool abort_in_time(const std::shared_ptr<NcclApi>& api, const std::shared_ptr<void>& buffers) {
  auto done = std::make_shared<std::promise<void>>();
  const std::future<void> is_done = done->get_future();
  std::thread([held = api, held_buffers = std::shared_ptr<void>(buffers), done]() mutable {
    held->abort();
    held_buffers.reset();
    held.reset();  // the api ends with its owner, never by a thread that may outlive main
    done->set_value();
  }).detach();
  return is_done.wait_for(kAbortTime) == std::future_status::ready;
}

}  // namespace

NcclLifetime::NcclLifetime(std::unique_ptr<NcclApi> api, const std::string& unique_id, int rank, int world_size,
                           Watchdog& watchdog)
    : api_(std::move(api)), watchdog_(watchdog), exceptions_at_start_(std::uncaught_exceptions()) {
  guarded([&](NcclApi& nccl) {
    nccl.init(unique_id, rank, world_size);
    settle("starting NCCL");
  });
}

NcclLifetime::~NcclLifetime() {
  if (aborted_) return;
  if (std::uncaught_exceptions() > exceptions_at_start_) {
    abort("an error ends the run", /*is_own_error=*/false);
    return;
  }
  try {
    guarded([&](NcclApi& nccl) {
      nccl.finalize();
      settle("ending NCCL");
      nccl.destroy();
    });
  } catch (const PeerFailed&) {
    // Session::together, which this rank is inside of, gives it that rank's error.
  } catch (const std::exception&) {  // logged by guarded
    watchdog_.set_out_of_step();
  }
}

void NcclLifetime::abandon(std::vector<at::Tensor> buffers) { abandoned_->push_back(std::move(buffers)); }

bool NcclLifetime::is_settled() {
  const NcclStatus status = api_->async_status();
  if (!status.error.empty()) core::fault("{}", status.error);
  return status.settled;
}

void NcclLifetime::settle(const char* operation) {
  watchdog_.wait(
      operation, [this] { return is_settled(); }, kIfAllWait);
}

void NcclLifetime::wait(const char* operation, NcclEvent& event) {
  watchdog_.wait(
      operation, [&] { return is_settled() && event.query(); }, kIfAllWait);
}

void NcclLifetime::wait_for_gpu(const char* operation, NcclEvent& event) {
  watchdog_.wait_for_gpu(operation, [&] { return is_settled() && event.query(); });
}

// The log comes first: should abort block and somebody kill the run, it already says why.
void NcclLifetime::abort(const char* reason, bool is_own_error) noexcept {
  aborted_ = true;
  try {
    if (is_own_error)
      core::log_error("aborting NCCL: {}", reason);
    else
      core::log_info("aborting NCCL: {}", reason);
    if (!abort_in_time(api_, abandoned_))
      core::log_error("NCCL did not abort within {} s, going on without it; the reason to abort was: {}",
                      kAbortTime.count(), reason);
  } catch (const std::exception& e) {  // no thread, no memory
    core::log_error("NCCL could not be aborted: {}", e.what());
  }
}

}  // namespace allreco::dist
