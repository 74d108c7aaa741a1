// Session: the life of MPI in this process and the control plane between ranks (errors, small values, text).
// One object, made first in main and destroyed last. Only the main thread may call it. mpi.h is included in dist's .cpp
// files only. Collective calls are over all ranks, in the same order on each, and their result is there on return.
// Every wait for another rank is guarded: after the timeout it throws a Fault that names the missing rank, its host and
// where it was last seen. After that, or any error that `together` did not turn into the same error on all ranks, only
// abort() may follow.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dist/communicator.h"

namespace allreco::dist {

class Watchdog;

class Session {
 public:
  /// Starts MPI (MPI_Init_thread, funneled or better) when a launcher started this process; a lone process without
  /// a launcher has world size 1 and never touches MPI. UserError when launcher and MPI library don't fit each other.
  Session(int& argc, char**& argv);
  /// Collective: MPI_Finalize. main catches errors inside the session's scope and calls abort(); a session destroyed by
  /// an error, or after the ranks fell out of step, ends every rank with exit code 1.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  int rank() const;
  int world_size() const;
  int local_rank() const;  // among the ranks of this node (MPI_Comm_split_type)
  int local_size() const;
  bool is_leader() const { return rank() == 0; }

  /// Seconds that any wait for another rank may take before it ends the run (ddp_timeout). Default 600. Returns what
  /// they were.
  double set_timeout(double seconds);
  /// For what one rank does while the others wait, as long as it may take.
  static constexpr double kAnyTime = 7 * 86400;

  /// What a rank whose memory runs out is told (core::failure_text). Default: what helps any command.
  void set_memory_advice(std::string advice);

  /// What this rank is about to do; shown for the missing rank when a wait times out. Cheap (two small messages): call
  /// it at each phase of a step.
  void enter_phase(std::int64_t step, std::string_view phase);

  /// Collective. Runs `work` on each rank and returns only if it succeeded on all. Otherwise every rank throws:
  /// UserError when all failures are UserErrors, else Fault; with the lowest failing rank's message, prefixed "rank N:
  /// " unless all ranks failed alike. `work` may hold collectives: ranks that wait in one for a rank that failed before
  /// it leave it at once; the session then takes no further collectives (they would not match) and the run must end.
  /// `what` is the phase shown meanwhile. With world size 1 errors pass as they are.
  void together(std::string_view what, const std::function<void()>& work);

  /// Collective. Every rank's text, in rank order, on every rank.
  std::vector<std::string> all_gather(const std::string& text);
  /// Collective. The root's text on every rank.
  std::string broadcast(std::string text, int root = 0);
  /// Collective; the largest value of all ranks (to agree on stop flags and errors).
  std::int64_t all_max(std::int64_t value);
  /// Collective, in place: element-wise sum in double; the same bits on every rank and in every run of this world size.
  void all_sum(std::vector<double>& values);
  /// What the above send at once, on all ranks alike: more goes in pieces, below 2 GiB each. For tests.
  void set_piece_bytes(std::int64_t bytes);
  /// Collective; no rank returns before all have called it.
  void barrier();

  /// The data plane for tensors on the CPU: MPI, or the self communicator for world size 1. Lives as long as the
  /// session.
  Communicator& communicator();
  /// Guards waits for other transports (NCCL). Internal to dist.
  Watchdog& watchdog();

  /// Ends every rank now with this exit code (PMIx_Abort or MPI_Abort, exit for a lone process).
  [[noreturn]] void abort(int exit_code);

 private:
  struct State;
  struct Outcome;
  Outcome run(const std::function<void()>& work, std::int64_t agreement);
  void agree(const Outcome& mine, std::int64_t agreement);
  std::int64_t agree_on_kind(const Outcome& mine, std::int64_t agreement);

  std::unique_ptr<State> state_;
};

}  // namespace allreco::dist
