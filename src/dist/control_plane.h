// ControlPlane: collectives over small values and text, over an MPI communicator of its own, each wait guarded by the
// watchdog. Main thread only. Internal to dist; others use Session.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dist/reduction.h"
#include "dist/watchdog.h"

namespace allreco::dist {

class ControlPlane {
 public:
  /// Agreements are what Session::together ends with: they match even when the collectives inside did not, so they go
  /// on after the ranks fell out of step.
  enum class Use { collectives, agreements };

  /// Collective over all ranks; MPI must be up.
  explicit ControlPlane(Watchdog& watchdog, Use use = Use::collectives);
  ~ControlPlane();

  /// As in Session. All are collective and done on return.
  std::vector<std::string> all_gather(const std::string& text);
  std::string broadcast(std::string text, int root);
  void all_sum(std::vector<double>& values);
  void all_reduce(std::vector<std::int64_t>& values, Reduction reduction);
  std::vector<std::string> all_to_all(const std::vector<std::string>& texts);
  void barrier();
  /// What all_gather, broadcast and all_sum send at once, on all ranks alike: more goes in pieces.
  void set_piece_bytes(std::int64_t bytes);
  /// `while_waiting` is called between two looks for the result.
  std::int64_t all_max(std::int64_t value, const std::function<void()>& while_waiting = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace allreco::dist
