#include "dist/node_shared.h"

#include <ATen/ops/from_blob.h>
#include <mpi.h>

#include <algorithm>
#include <vector>

#include "core/check.h"
#include "dist/mpi_check.h"
#include "dist/node_memory.h"
#include "dist/watchdog.h"

namespace allreco::dist {
namespace {

constexpr std::int64_t kBroadcastBytes = std::int64_t{64} << 20;

/// Splitting blocks inside MPI, where no watchdog looks: call it behind a barrier.
MPI_Comm split(int color) {
  MPI_Comm comm = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split(MPI_COMM_WORLD, color, 0, &comm), "MPI_Comm_split");
  return comm;
}

int lowest_rank_of_this_machine(int rank) {
  MPI_Comm node = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node), "MPI_Comm_split_type");
  check_mpi(MPI_Bcast(&rank, 1, MPI_INT, 0, node), "MPI_Bcast");
  check_mpi(MPI_Comm_free(&node), "MPI_Comm_free");
  return rank;
}

std::int64_t node_as_mpi_sees_it(Session& session) {
  session.barrier();
  return session.world_size() == 1 ? 0 : lowest_rank_of_this_machine(session.rank());
}

}  // namespace

// ---- NodeGroups ----

struct NodeGroups::State {
  explicit State(Session& s) : session(s) {}

  Session& session;
  int leader = 0;
  int num_nodes = 1;
  MPI_Comm leaders = MPI_COMM_NULL;  // of the nodes; null on other ranks, and where there is one node

  /// Rank 0 is the lowest, so it is the root of the leaders' communicator.
  void broadcast_piece(const at::Tensor& piece) {
    session.watchdog().begin("broadcast to the nodes");
    if (leaders != MPI_COMM_NULL) send_or_receive(piece);
    session.barrier();
  }

  void send_or_receive(const at::Tensor& piece) {
    MPI_Request request = MPI_REQUEST_NULL;
    check_mpi(MPI_Ibcast(piece.data_ptr(), static_cast<int>(piece.nbytes()), MPI_BYTE, 0, leaders, &request),
              "MPI_Ibcast");
    try {
      session.watchdog().wait("broadcast to the nodes", [&] {
        int done = 0;
        check_mpi(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "broadcast to the nodes");
        return done != 0;
      });
    } catch (...) {
      // It cannot be cancelled, and MPI may go on to write there: the run is about to end, so the memory stays.
      new at::Tensor(piece);
      throw;
    }
  }
};

NodeGroups::NodeGroups(Session& session) : NodeGroups(session, node_as_mpi_sees_it(session)) {}

NodeGroups::NodeGroups(Session& session, std::int64_t node) : state_(std::make_unique<State>(session)) {
  const std::vector<std::string> node_of = session.all_gather(std::to_string(node));
  const auto lowest_of = [&](const std::string& name) {
    return static_cast<int>(std::find(node_of.begin(), node_of.end(), name) - node_of.begin());
  };
  state_->leader = lowest_of(std::to_string(node));
  state_->num_nodes = 0;
  for (int rank = 0; rank < session.world_size(); ++rank)
    state_->num_nodes += lowest_of(node_of[static_cast<size_t>(rank)]) == rank ? 1 : 0;
  if (state_->num_nodes > 1) state_->leaders = split(state_->leader == session.rank() ? 0 : MPI_UNDEFINED);
}

NodeGroups::~NodeGroups() = default;  // MPI_Finalize frees the communicator

bool NodeGroups::is_leader() const { return state_->leader == state_->session.rank(); }
int NodeGroups::leader() const { return state_->leader; }
int NodeGroups::num_nodes() const { return state_->num_nodes; }

void NodeGroups::broadcast_to_leaders(const at::Tensor& tensor) const {
  core::require(tensor.is_contiguous() && tensor.is_cpu(), "a broadcast to the nodes takes contiguous CPU tensors");
  const at::Tensor bytes = at::from_blob(
      tensor.data_ptr(), {static_cast<std::int64_t>(tensor.nbytes())}, [keep = tensor](void*) {}, at::kByte);
  for (std::int64_t begin = 0; begin < bytes.numel(); begin += kBroadcastBytes)
    state_->broadcast_piece(bytes.narrow(0, begin, std::min(kBroadcastBytes, bytes.numel() - begin)));
}

// ---- NodeShared ----

NodeShared::NodeShared(Session& session, const NodeGroups& nodes, std::int64_t num_bytes)
    : session_(session), memory_(std::make_shared<NodeMemory>(num_bytes)) {
  core::require(num_bytes > 0, "a shared buffer holds something");
  session.together("making memory that a node's ranks share", [&] {
    if (nodes.is_leader()) memory_->create();
  });
  const std::vector<std::string> places = session.all_gather(memory_->place());
  session.together("opening memory that a node's ranks share", [&] {
    if (!nodes.is_leader()) memory_->open(places[static_cast<size_t>(nodes.leader())]);
  });
  memory_->close();  // all of the node have mapped it
}

at::Tensor NodeShared::view(std::int64_t first_byte, at::IntArrayRef sizes, at::ScalarType dtype) const {
  const at::Tensor tensor = at::from_blob(
      memory_->at(first_byte), sizes, [keep = memory_](void*) {}, dtype);
  core::require(first_byte >= 0 && first_byte + static_cast<std::int64_t>(tensor.nbytes()) <= memory_->num_bytes(),
                "a view lies inside its shared buffer");
  return tensor;
}

void NodeShared::publish() {
  session_.barrier();
  memory_->protect();
}

}  // namespace allreco::dist
