#include "core/stop_signals.h"

#include <signal.h>

#include <array>
#include <atomic>

namespace allreco::core {
namespace {

constexpr std::array kSignals{SIGUSR1, SIGTERM, SIGINT};

// A handler has no argument of its own, so this one value of the process is unavoidable.
std::atomic<int> received_signal{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler needs a lock-free flag");

extern "C" void note_signal(int signal_number) { received_signal.store(signal_number); }

}  // namespace

void hold_stop_signals() {
  sigset_t held;
  ::sigemptyset(&held);
  for (const int number : kSignals) ::sigaddset(&held, number);
  ::pthread_sigmask(SIG_BLOCK, &held, nullptr);  // cannot fail with these arguments
}

struct StopSignals::Former {
  std::array<struct sigaction, kSignals.size()> actions{};
  sigset_t mask{};
};

StopSignals::StopSignals() : former_(new Former) {
  received_signal.store(0);
  sigset_t awaited;
  ::sigemptyset(&awaited);
  for (size_t i = 0; i < kSignals.size(); ++i) {
    struct sigaction action {};
    action.sa_handler = note_signal;
    action.sa_flags = SA_RESTART | (kSignals[i] == SIGINT ? static_cast<int>(SA_RESETHAND) : 0);
    ::sigemptyset(&action.sa_mask);
    ::sigaction(kSignals[i], &action, &former_->actions[i]);  // cannot fail for these signals
    ::sigaddset(&awaited, kSignals[i]);
  }
  ::pthread_sigmask(SIG_UNBLOCK, &awaited, &former_->mask);
}

StopSignals::~StopSignals() {
  ::pthread_sigmask(SIG_SETMASK, &former_->mask, nullptr);
  for (size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &former_->actions[i], nullptr);
  delete former_;
}

int StopSignals::received() const { return received_signal.load(); }

}  // namespace allreco::core
