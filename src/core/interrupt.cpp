#include "core/interrupt.h"

#include <atomic>

#include "core/check.h"

namespace allreco::core {
namespace {

// A handler has no argument of its own, so these values of the process are unavoidable.
std::atomic<int> interrupting_signal{0};
std::atomic<bool> is_guarded{false};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler needs a lock-free flag");

extern "C" void note_interrupt(int signal_number) { interrupting_signal.store(signal_number); }

}  // namespace

InterruptGuard::InterruptGuard() : is_outermost_(!is_guarded.exchange(true)) {
  if (!is_outermost_) return;
  interrupting_signal.store(0);
  for (size_t i = 0; i < kSignals.size(); ++i) {
    ::sigaction(kSignals[i], nullptr, &former_[i]);  // cannot fail for these signals
    if (former_[i].sa_handler == SIG_IGN) continue;  // nohup
    struct sigaction action {};
    action.sa_handler = note_interrupt;
    action.sa_flags = 0;  // no SA_RESTART: a read from a pipe that waits must end, too
    ::sigemptyset(&action.sa_mask);
    ::sigaction(kSignals[i], &action, nullptr);
  }
}

InterruptGuard::~InterruptGuard() {
  if (!is_outermost_) return;
  for (size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &former_[i], nullptr);
  is_guarded.store(false);
  if (const int number = interrupting_signal.exchange(0); number != 0) ::raise(number);
}

void throw_if_interrupted() {
  if (const int number = interrupting_signal.load(); number != 0) fault("interrupted by signal {}", number);
}

}  // namespace allreco::core
