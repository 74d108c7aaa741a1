// ControlChannel: small messages between ranks beside the collectives (heartbeats, questions, failures), over a
// communicator of its own. Nothing here blocks, so it works while some rank is stuck. Main thread only. Internal to
// dist.
#pragma once
#include <cstdint>
#include <memory>

namespace allreco::dist {

/// One message; fixed size, so that it is always sent eagerly. Which fields count depends on the kind.
struct ControlMessage {
  enum class Kind : std::int32_t {
    heartbeat,  // where `rank` is, sent to the ranks that watch it
    question,   // `rank` has waited too long: where are you?
    answer,     // where `rank` is, in reply
    relayed,    // the last heartbeat of `rank`, passed on in reply
    failure,    // `rank` failed inside the agreement with this id
  };
  Kind kind = Kind::heartbeat;
  std::int32_t rank = 0;
  std::int64_t step = 0;
  std::int64_t num_calls = 0;  // collectives begun so far: ranks in the same one have the same number
  std::int64_t agreement = 0;  // id of a Session::together
  double phase_since = 0;      // seconds since 1970, on the sender's clock
  enum class WaitsFor : std::int32_t { nothing, ranks, own_gpu };
  WaitsFor waits_for = WaitsFor::nothing;  // in the collective named by `operation`, or on the way into it
  char operation[44] = "";
  char phase[64] = "";
};

class ControlChannel {
 public:
  /// Collective over all ranks; MPI must be up.
  ControlChannel();
  ~ControlChannel();

  /// Queues the message; what is under way is kept here until it has left.
  void send(int to, const ControlMessage& message);
  /// Messages to this rank that have not left yet (it takes none when it is stuck).
  std::int64_t num_unsent(int to);
  /// Takes the next message from any rank; false when there is none.
  bool receive(ControlMessage& message);

  /// Collective, before MPI_Finalize: call begin_drain() once and then drained() until it is true on this rank. After
  /// that no message is under way to or from it.
  void begin_drain();
  bool drained();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace allreco::dist
