#include "dist/control_channel.h"

#include <mpi.h>

#include <list>
#include <numeric>
#include <type_traits>
#include <vector>

#include "dist/mpi_check.h"

namespace allreco::dist {
namespace {

static_assert(std::is_trivially_copyable_v<ControlMessage>);
constexpr int kBytes = sizeof(ControlMessage);
constexpr int kTag = 1;

struct Outgoing {
  int to = 0;
  ControlMessage message;
  MPI_Request request = MPI_REQUEST_NULL;
};

}  // namespace

struct ControlChannel::State {
  MPI_Comm comm = MPI_COMM_NULL;
  std::list<Outgoing> outgoing;  // a list: MPI reads the messages in place
  std::vector<std::int64_t> num_sent, num_expected;
  std::int64_t num_received = 0;
  MPI_Request exchange = MPI_REQUEST_NULL;

  void forget_what_left() {
    for (auto it = outgoing.begin(); it != outgoing.end();) {
      int done = 0;
      check_mpi(MPI_Test(&it->request, &done, MPI_STATUS_IGNORE), "control message");
      it = done ? outgoing.erase(it) : std::next(it);
    }
  }
};

ControlChannel::ControlChannel() : state_(std::make_unique<State>()) {
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &state_->comm), "MPI_Comm_dup");
  int world_size = 0;
  check_mpi(MPI_Comm_size(state_->comm, &world_size), "MPI_Comm_size");
  state_->num_sent.resize(static_cast<size_t>(world_size));
  state_->num_expected.resize(static_cast<size_t>(world_size));
}

ControlChannel::~ControlChannel() = default;  // MPI_Finalize frees the communicator

void ControlChannel::send(int to, const ControlMessage& message) {
  state_->forget_what_left();
  Outgoing& out = state_->outgoing.emplace_back(Outgoing{to, message, MPI_REQUEST_NULL});
  check_mpi(MPI_Isend(&out.message, kBytes, MPI_BYTE, to, kTag, state_->comm, &out.request), "control message");
  ++state_->num_sent[static_cast<size_t>(to)];
}

std::int64_t ControlChannel::num_unsent(int to) {
  state_->forget_what_left();
  std::int64_t count = 0;
  for (const Outgoing& out : state_->outgoing) count += out.to == to ? 1 : 0;
  return count;
}

bool ControlChannel::receive(ControlMessage& message) {
  state_->forget_what_left();
  int there = 0;
  MPI_Status status;
  check_mpi(MPI_Iprobe(MPI_ANY_SOURCE, kTag, state_->comm, &there, &status), "control message");
  if (!there) return false;
  check_mpi(MPI_Recv(&message, kBytes, MPI_BYTE, status.MPI_SOURCE, kTag, state_->comm, MPI_STATUS_IGNORE),
            "control message");
  ++state_->num_received;
  return true;
}

// Tells every rank how many messages it must have received from this one.
void ControlChannel::begin_drain() {
  check_mpi(MPI_Ialltoall(state_->num_sent.data(), 1, MPI_INT64_T, state_->num_expected.data(), 1, MPI_INT64_T,
                          state_->comm, &state_->exchange),
            "closing the control channel");
}

bool ControlChannel::drained() {
  ControlMessage ignored;
  while (receive(ignored)) {
  }
  int known = 0;
  check_mpi(MPI_Test(&state_->exchange, &known, MPI_STATUS_IGNORE), "closing the control channel");
  if (!known) return false;
  const auto expected = std::accumulate(state_->num_expected.begin(), state_->num_expected.end(), std::int64_t{0});
  return state_->num_received == expected && state_->outgoing.empty();
}

}  // namespace allreco::dist
