// StallGuard: ends this process when a piece of work comes to no end. The watchdog sees waits for other ranks; a kernel
// that hangs holds the main thread inside the driver (in a launch, in a copy to the host), where nothing of ours runs.
// So a thread of its own looks at the clock. For work on a GPU, whose pieces take milliseconds.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace allreco::dist {

class StallGuard {
 public:
  /// A piece may take `seconds`. `rank`: for the message.
  StallGuard(double seconds, int rank);
  ~StallGuard();
  StallGuard(const StallGuard&) = delete;
  StallGuard& operator=(const StallGuard&) = delete;

  /// The main thread begins a piece of work, the one before it is done. Cheap.
  void begin(std::int64_t step, std::string_view work);
  /// Nothing is under way that could hang.
  void rest();

 private:
  using Clock = std::chrono::steady_clock;
  void watch();
  [[noreturn]] void end_process() const;

  const std::chrono::duration<double> longest_;
  const int rank_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ending_ = false, working_ = false;
  std::int64_t step_ = 0;
  std::string work_;
  std::chrono::duration<double> waited_{0};
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace allreco::dist
