#include "dist/stall_guard.h"

#include <algorithm>
#include <cstdlib>

#include "core/check.h"
#include "core/host.h"
#include "core/log.h"

namespace allreco::dist {
namespace {

constexpr std::chrono::duration<double> kLook{1};

}  // namespace

StallGuard::StallGuard(double seconds, int rank) : longest_(seconds), rank_(rank) {
  core::require(seconds > 0, "the longest time of a piece of work must be positive");
  thread_ = std::thread([this] { watch(); });
}

StallGuard::~StallGuard() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void StallGuard::begin(std::int64_t step, std::string_view work) {
  const std::lock_guard lock(mutex_);
  working_ = true;
  step_ = step;
  work_ = work;
  waited_ = {};
}

void StallGuard::rest() {
  const std::lock_guard lock(mutex_);
  working_ = false;
}

void StallGuard::watch() {
  const auto look = std::min(kLook, longest_ / 10);
  std::unique_lock lock(mutex_);
  Clock::time_point before = Clock::now();
  while (!changed_.wait_for(lock, look, [this] { return ending_; })) {
    const Clock::time_point now = Clock::now();
    // When far more time has passed between two looks, the process was stopped (SLURM suspends jobs): that is no stall.
    if (now - before < 10 * look) waited_ += now - before;
    before = now;
    if (working_ && waited_ > longest_) end_process();
  }
}

// The main thread cannot be interrupted in the driver, so nothing is unwound: what was saved is on the disk.
void StallGuard::end_process() const {
  core::write_log(
      core::LogLevel::error,
      core::message("{} of step {} on rank {} ({}) has come to no end for {:g} s (ddp_timeout): a kernel or the driver "
                    "hangs. Look for Xid errors in dmesg and nvidia-smi -q on that host; resume_from_checkpoint = auto "
                    "goes on from the newest checkpoint; raise ddp_timeout if it only needs longer",
                    work_, step_, rank_, core::host_name(), waited_.count()));
  std::_Exit(1);
}

}  // namespace allreco::dist
