// Exchange: collectives of bulk data and whole numbers between the ranks of a session, for work that is no training.
// Main thread only; made by all ranks at once, and gone before the session.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dist/reduction.h"
#include "dist/session.h"

namespace allreco::dist {

class ControlPlane;

class Exchange {
 public:
  /// Collective.
  explicit Exchange(Session& session);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  /// Collective, in place: element by element, exact.
  void all_reduce(std::vector<std::int64_t>& values, Reduction reduction);
  /// Collective. texts[r] goes to rank r; the result holds what each rank sent here. What a rank sends and receives
  /// together is less than 2 GiB: more goes in rounds.
  std::vector<std::string> all_to_all(const std::vector<std::string>& texts);
  /// Not collective; for long work between collectives: throws when another rank failed in a Session::together that
  /// this one is in, so that it does not work on in vain. Cheap.
  void leave_if_peer_failed();

 private:
  Session& session_;
  std::unique_ptr<ControlPlane> plane_;  // null for world size 1
};

}  // namespace allreco::dist
