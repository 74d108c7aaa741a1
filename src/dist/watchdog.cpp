#include "dist/watchdog.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "dist/hang_report.h"

namespace allreco::dist {
namespace {

using namespace std::chrono_literals;

// Waits shorter than this are polled without sleeping: sums of small tensors take microseconds, of some megabytes one
// or two milliseconds in several rounds, and each sleep would delay a round. The core is offered to others at every
// look, so ranks that share one do not starve each other. Longer waits sleep a fiftieth of their time so far between
// two looks.
constexpr auto kSpin = 5ms;
constexpr int kSleepFraction = 50;
constexpr auto kLongestSleep = 500us;
// A wait as long as this is for work that one rank does alone, not for a late message.
constexpr auto kLongWait = 10s;
constexpr auto kSleepInLongWait = 5ms;
// Looks are milliseconds apart; when far more time has passed, this process was stopped (SLURM suspends jobs)
// and so were the others.
constexpr auto kSuspended = 5s;
constexpr std::int64_t kMaxUnsent = 8;  // heartbeats; beyond, the watcher is stuck itself and only the newest is kept

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::chrono::nanoseconds sleep_after(std::chrono::nanoseconds waited) {
  if (waited > kLongWait) return kSleepInLongWait;
  return std::min<std::chrono::nanoseconds>(waited / kSleepFraction, kLongestSleep);
}

template <size_t N>
void copy_text(char (&to)[N], std::string_view from) {
  const size_t length = std::min(from.size(), N - 1);
  from.copy(to, length);
  to[length] = '\0';
}

}  // namespace

Watchdog::Watchdog(std::unique_ptr<ControlChannel> channel, int rank, int world_size)
    : channel_(std::move(channel)), world_size_(world_size), hosts_(static_cast<size_t>(world_size), "unknown host") {
  here_.rank = rank;
  here_.phase_since = seconds_since_1970();
  copy_text(here_.phase, "start");
  set_watcher_stride(1);
}

Watchdog::~Watchdog() = default;

double Watchdog::set_timeout(double seconds) {
  core::require(seconds > 0, "the timeout must be positive");
  constexpr double longest = 1e9;  // 30 years, which the clock can still count
  return std::exchange(timeout_, std::chrono::duration<double>(std::min(seconds, longest))).count();
}

void Watchdog::set_watcher_stride(int stride) {
  // On a single node the stride leads back to this rank; then the rank before it watches.
  if (stride % world_size_ == 0) stride = world_size_ - 1;
  watchers_ = {(here_.rank + 1) % world_size_, (here_.rank + stride) % world_size_};
  watchers_.erase(here_.rank);
}

void Watchdog::enter_phase(std::int64_t step, std::string_view phase) {
  here_.step = step;
  here_.phase_since = seconds_since_1970();
  copy_text(here_.phase, phase);
  if (!channel_) return;
  watchers_know_ = false;
  tell_watchers();
  serve();
}

void Watchdog::tell_watchers() {
  ControlMessage message = here_;
  message.kind = ControlMessage::Kind::heartbeat;
  watchers_know_ = true;
  for (int watcher : watchers_) {
    if (channel_->num_unsent(watcher) < kMaxUnsent)
      channel_->send(watcher, message);
    else
      watchers_know_ = false;
  }
}

void Watchdog::begin(std::string_view operation) {
  if (out_of_step_)
    core::fault("{} after a failure that left the ranks out of step: end the run with Session::abort", operation);
  ++here_.num_calls;
}

void Watchdog::wait(std::string_view operation, const std::function<bool()>& done, std::string_view if_all_wait) {
  wait({.operation = operation, .if_all_wait = if_all_wait}, WaitsFor::ranks, done);
}

void Watchdog::wait_for_gpu(std::string_view operation, const std::function<bool()>& done) {
  wait({.operation = operation}, WaitsFor::own_gpu, done);
}

void Watchdog::wait(Wait wait, WaitsFor what, const std::function<bool()>& done) {
  if (done()) return;
  wait.begin = wait.last_look = Clock::now();
  wait.deadline = wait.begin + std::chrono::duration_cast<Clock::duration>(timeout_);
  while (Clock::now() - wait.begin < kSpin) {
    ::sched_yield();
    if (done()) return;
  }
  here_.waits_for = what;
  copy_text(here_.operation, wait.operation);
  const std::shared_ptr<void> on_exit(
      nullptr, [this](void*) { here_.waits_for = WaitsFor::nothing, asking_ = false, another_asks_ = false; });
  while (!done()) {
    std::this_thread::sleep_for(sleep_after(Clock::now() - wait.begin));
    if (channel_) serve();
    if (peer_failed()) throw PeerFailed("another rank failed");
    check_deadline(wait);
  }
}

void Watchdog::leave_if_peer_failed() {
  if (channel_) serve();
  if (peer_failed()) throw PeerFailed("another rank failed");
}

// Takes every message before it answers any question, so that answers hold the latest heartbeats.
void Watchdog::serve() {
  if (!watchers_know_) tell_watchers();
  std::set<int> askers;
  ControlMessage message;
  while (channel_->receive(message)) take(message, askers);
  for (int asker : askers) answer(asker);
}

void Watchdog::take(const ControlMessage& message, std::set<int>& askers) {
  using Kind = ControlMessage::Kind;
  switch (message.kind) {
    case Kind::heartbeat:
    case Kind::relayed: {
      ControlMessage& known = last_seen_[message.rank];
      if (message.phase_since >= known.phase_since) known = message;
      break;
    }
    case Kind::question:
      askers.insert(message.rank);
      // One rank is enough to end the run; of several that ask, the lowest.
      if (!asking_ || message.rank < here_.rank) another_asks_ = true;
      break;
    case Kind::answer:
      answers_[message.rank] = message;
      break;
    case Kind::failure:
      failed_agreements_.insert(message.agreement);
      break;
  }
}

void Watchdog::answer(int asker) {
  for (const auto& [rank, seen] : last_seen_) {
    ControlMessage message = seen;
    message.kind = ControlMessage::Kind::relayed;
    channel_->send(asker, message);
  }
  ControlMessage message = here_;
  message.kind = ControlMessage::Kind::answer;
  channel_->send(asker, message);
}

bool Watchdog::peer_failed() const {
  return std::any_of(agreements_.begin(), agreements_.end(),
                     [&](std::int64_t id) { return failed_agreements_.contains(id); });
}

void Watchdog::tell_failure(std::int64_t agreement) {
  ControlMessage message = here_;
  message.kind = ControlMessage::Kind::failure;
  message.agreement = agreement;
  for (int rank = 0; rank < world_size_; ++rank)
    if (rank != here_.rank) channel_->send(rank, message);
}

void Watchdog::ask_all() {
  answers_.clear();
  ControlMessage message = here_;
  message.kind = ControlMessage::Kind::question;
  for (int rank = 0; rank < world_size_; ++rank)
    if (rank != here_.rank) channel_->send(rank, message);
}

void Watchdog::check_deadline(Wait& wait) {
  const Clock::time_point now = Clock::now();
  const Clock::duration gap = now - std::exchange(wait.last_look, now);
  if (gap > kSuspended) {
    wait.deadline += gap;
    if (wait.answers_due) *wait.answers_due += gap;
  }
  // Ranks that wait look every few milliseconds, so even on a loaded machine they answer in this time.
  const auto grace = std::chrono::duration_cast<Clock::duration>(
      std::clamp(timeout_ / 10, std::chrono::duration<double>(0.5), std::chrono::duration<double>(10)));
  if (std::exchange(another_asks_, false)) {  // leave the report to it, but not for ever
    asking_ = false;
    wait.answers_due.reset();
    wait.deadline = std::max(wait.deadline, now + 3 * grace);
  }
  if (now < wait.deadline) return;
  if (!channel_) throw WaitTimeout(fmt::format("{} did not finish within {:g} s", wait.operation, timeout_.count()));
  if (!wait.answers_due) {
    asking_ = true;
    wait.answers_due = now + grace;
    ask_all();
  } else if (now >= *wait.answers_due || std::ssize(answers_) == world_size_ - 1) {
    throw WaitTimeout(describe_hang(wait));
  }
}

std::string Watchdog::describe_hang(const Wait& wait) const {
  std::map<int, ControlMessage> answers = answers_;
  answers[here_.rank] = here_;
  return describe({.operation = wait.operation,
                   .if_all_wait = wait.if_all_wait,
                   .timeout_seconds = timeout_.count(),
                   .now = seconds_since_1970(),
                   .rank = here_.rank,
                   .answers = std::move(answers),
                   .last_seen = last_seen_,
                   .hosts = hosts_});
}

void Watchdog::close() {
  if (!channel_) return;
  watchers_know_ = true;
  channel_->begin_drain();
  wait("the end of the run", [this] { return channel_->drained(); });
}

}  // namespace allreco::dist
