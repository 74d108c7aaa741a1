// Signals that end a command while it builds something aside: what was built is removed first.
#pragma once
#include <array>
#include <csignal>

namespace allreco::core {

/// While it lives, SIGINT, SIGTERM and SIGHUP (unless they were ignored) let throw_if_interrupted() throw; its
/// destructor puts the former handlers back and then raises the signal that came, so that the process ends by it. Make
/// it before what must be gone by then. One object at a time; further ones inside it do nothing.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

 private:
  static constexpr std::array kSignals{SIGINT, SIGTERM, SIGHUP};
  bool is_outermost_;
  std::array<struct sigaction, kSignals.size()> former_{};
};

/// Called inside long loops. Throws a Fault once a signal came under an InterruptGuard.
void throw_if_interrupted();

}  // namespace allreco::core
