// Watchdog: every wait for another rank goes through here. It polls without burning the core, answers other ranks'
// questions meanwhile, and ends a wait that takes longer than the timeout with a message that names the missing rank
// and where it was last seen. Main thread only. Internal to dist.
#pragma once
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/check.h"
#include "dist/control_channel.h"

namespace allreco::dist {

/// A wait passed its deadline: this run cannot go on, and no collective may follow.
class WaitTimeout : public core::Fault {
  using Fault::Fault;
};

/// Another rank failed inside the Session::together that this rank is in, too. Caught by it; carries no message of its
/// own.
class PeerFailed : public core::Fault {
  using Fault::Fault;
};

class Watchdog {
 public:
  /// `channel`: null for world size 1.
  Watchdog(std::unique_ptr<ControlChannel> channel, int rank, int world_size);
  ~Watchdog();

  /// Returns what it was.
  double set_timeout(double seconds);
  /// Each rank's host, for messages.
  void set_hosts(std::vector<std::string> hosts) { hosts_ = std::move(hosts); }
  /// Besides the next rank, the one `stride` further watches this rank: with stride = ranks per node it sits on another
  /// node.
  void set_watcher_stride(int stride);

  /// Records where this rank is and tells the ranks that watch it. Never blocks.
  void enter_phase(std::int64_t step, std::string_view phase);
  std::int64_t step() const { return here_.step; }
  std::string phase() const { return here_.phase; }

  /// Counts a collective that this rank begins. Fault when the ranks are out of step, see set_out_of_step.
  void begin(std::string_view operation);
  /// The same for the end of an agreement, which is in step even then.
  void begin_agreement() { ++here_.num_calls; }
  /// Returns when done() is true; `done` must not block. Throws WaitTimeout after the timeout, PeerFailed as told
  /// there. `if_all_wait`: for the message when every rank waits in this operation: what may hang then, and what to do.
  void wait(std::string_view operation, const std::function<bool()>& done,
            std::string_view if_all_wait = kTransportHangs);
  /// The same for what this rank's own GPU must finish before the operation: a rank that waits here counts as missing
  /// in the operation.
  void wait_for_gpu(std::string_view operation, const std::function<bool()>& done);

  /// Answers others' questions, and throws PeerFailed as wait() does. Never blocks.
  void leave_if_peer_failed();

  /// The agreements (Session::together) that this rank is inside of, innermost last. A wait inside ends with PeerFailed
  /// when a rank reports failure of one.
  void enter_agreement(std::int64_t id) { agreements_.push_back(id); }
  void leave_agreement() { agreements_.pop_back(); }
  /// Tells every rank that this one failed inside the agreement and will not take part in the collectives within.
  void tell_failure(std::int64_t agreement);
  /// Some ranks left a collective half way: the next one would never match. Every later begin() throws.
  void set_out_of_step() { out_of_step_ = true; }
  bool out_of_step() const { return out_of_step_; }

  /// Collective: leaves no message under way. Nothing may be sent afterwards.
  void close();

 private:
  using Clock = std::chrono::steady_clock;
  using WaitsFor = ControlMessage::WaitsFor;
  static constexpr std::string_view kTransportHangs =
      "MPI or the network between the nodes hangs. Look into the nodes' logs, and try another transport of MPI (mpirun "
      "--mca btl ..., --mca btl_tcp_if_include ...)";
  struct Wait {
    std::string_view operation;
    std::string_view if_all_wait = {};
    Clock::time_point begin = {}, deadline = {}, last_look = {};
    std::optional<Clock::time_point> answers_due = {};  // set while this rank asks the others
  };

  void tell_watchers();
  void serve();
  void take(const ControlMessage& message, std::set<int>& askers);
  void answer(int asker);
  bool peer_failed() const;
  void wait(Wait wait, WaitsFor what, const std::function<bool()>& done);
  void check_deadline(Wait& wait);
  void ask_all();
  std::string describe_hang(const Wait& wait) const;

  std::unique_ptr<ControlChannel> channel_;
  int world_size_ = 1;
  std::chrono::duration<double> timeout_{600};
  std::vector<std::string> hosts_;
  std::set<int> watchers_;
  ControlMessage here_;  // where this rank is
  bool watchers_know_ = true;
  std::map<int, ControlMessage> last_seen_;  // of the ranks that this one watches, and of those that others told about
  std::map<int, ControlMessage> answers_;    // to the question that this rank asked
  bool asking_ = false;
  bool another_asks_ = false;
  std::vector<std::int64_t> agreements_;
  std::set<std::int64_t> failed_agreements_;
  bool out_of_step_ = false;
};

}  // namespace allreco::dist
