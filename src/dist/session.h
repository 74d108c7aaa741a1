// Session: the life of MPI in this process and the control plane between ranks (errors, small values, text).
// One object, made first in main and destroyed last. Only the main thread may call it. mpi.h is included in dist's .cpp files only.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dist/communicator.h"

namespace allreco::dist {

class Session {
 public:
  /// Starts MPI (MPI_Init_thread, funneled or better) when a launcher started this process; a lone process without
  /// a launcher has world size 1 and never touches MPI.
  Session(int& argc, char**& argv);
  ~Session();  // MPI_Finalize; after an uncaught error main calls abort() instead
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  int rank() const;
  int world_size() const;
  int local_rank() const;  // among the ranks of this node (MPI_Comm_split_type)
  int local_size() const;
  bool is_leader() const { return rank() == 0; }

  /// Seconds that any wait for another rank may take before it ends the run (ddp_timeout). Default 600.
  void set_timeout(double seconds);

  /// What this rank is about to do; shown for the missing rank when a wait times out. Cheap: call it at each phase of a step.
  void enter_phase(std::int64_t step, std::string_view phase);

  /// Collective over all ranks. Runs `work` on each rank and returns only if it succeeded on all. Otherwise every rank throws: UserError when
  /// all failures are UserErrors, else Fault; with the lowest failing rank's message, prefixed "rank N: " unless all ranks failed alike.
  void together(std::string_view what, const std::function<void()>& work);

  /// Collective. Every rank's text, in rank order, on every rank.
  std::vector<std::string> all_gather(const std::string& text);
  /// Collective. The root's text on every rank.
  std::string broadcast(std::string text, int root = 0);
  /// Collective; the largest value of all ranks (to agree on stop flags and errors).
  std::int64_t all_max(std::int64_t value);
  /// Collective, in place: element-wise sum in double.
  void all_sum(std::vector<double>& values);
  void barrier();

  /// The data plane for tensors on the CPU: MPI, or the self communicator for world size 1. Lives as long as the session.
  Communicator& communicator();

  /// Ends every rank now with this exit code (MPI_Abort, or exit for a lone process).
  [[noreturn]] void abort(int exit_code);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace allreco::dist
