#include "dist/node_shared.h"

#include <ATen/ops/from_blob.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <mpi.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "core/check.h"
#include "core/memory.h"
#include "dist/mpi_check.h"
#include "dist/watchdog.h"

namespace allreco::dist {
namespace {

constexpr std::int64_t kPieceBytes = std::int64_t{64} << 20;

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
  for (std::int64_t begin = 0; begin < bytes.numel(); begin += kPieceBytes)
    state_->broadcast_piece(bytes.narrow(0, begin, std::min(kPieceBytes, bytes.numel() - begin)));
}

// ---- NodeShared ----

/// Anonymous memory (memfd), which goes away with the last process that maps it, whatever ends them, and which no size
/// of /dev/shm limits. The leader makes it; the others open it through the leader's /proc entry.
class NodeShared::Memory {
 public:
  explicit Memory(std::int64_t num_bytes) : num_bytes_(static_cast<size_t>(num_bytes)) {}
  ~Memory() {
    if (address_ != nullptr) ::munmap(address_, num_bytes_);
    close();
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  /// Takes all pages now. No size limits a memfd: asking for more than there is would not fail, the kernel would kill
  /// this process or others. So it is asked first.
  void create() {
    if (const std::int64_t available = core::available_memory_bytes(); num_bytes() > available) no_memory(available);
    fd_ = ::memfd_create("allreco", MFD_CLOEXEC);
    if (fd_ < 0) core::fault("memfd_create failed: {}", std::strerror(errno));
    int error = EINTR;  // a stop signal ends it early
    while (error == EINTR) error = ::posix_fallocate(fd_, 0, static_cast<off_t>(num_bytes_));
    if (error == ENOSPC || error == ENOMEM) no_memory(core::available_memory_bytes());
    if (error != 0) core::fault("cannot take {} bytes of shared memory: {}", num_bytes_, std::strerror(error));
    map(PROT_READ | PROT_WRITE);
  }

  /// `place`: what the leader's place() says.
  void open(const std::string& place) {
    const size_t end = place.find(' ');
    const std::string path = place.substr(0, end);
    fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) not_shared(path, std::strerror(errno));
    // Where ranks see processes of their own only, the leader's number may be another one's.
    if (identity() != place.substr(end + 1)) not_shared(path, "it is another process's");
    map(PROT_READ);
  }

  /// Where the others find it, and how they know it.
  std::string place() const { return fmt::format("/proc/{}/fd/{} {}", ::getpid(), fd_, identity()); }

  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

  void protect() {
    if (::mprotect(address_, num_bytes_, PROT_READ) != 0) core::fault("mprotect failed: {}", std::strerror(errno));
  }

  char* at(std::int64_t first_byte) const { return static_cast<char*>(address_) + first_byte; }
  std::int64_t num_bytes() const { return static_cast<std::int64_t>(num_bytes_); }

 private:
  std::string identity() const {
    struct stat status {};
    if (fd_ < 0) return "none";
    if (::fstat(fd_, &status) != 0) core::fault("fstat failed: {}", std::strerror(errno));
    return fmt::format("{}:{}:{}", status.st_dev, status.st_ino, status.st_size);
  }

  [[noreturn]] static void not_shared(const std::string& path, const std::string& why) {
    core::user_error(
        "cannot open the memory that the ranks of this node share ({}): {}. They must run as one user and see one "
        "another's processes; else use model_loading = mmap",
        path, why);
  }

  [[noreturn]] void no_memory(std::int64_t available) const {
    core::user_error(
        "the model that the ranks of a node share (model_loading = broadcast) takes {} bytes of memory, but this node "
        "has {} to give: use model_loading = mmap, or a node (or a job) with more memory",
        num_bytes_, available);
  }

  void map(int protection) {
    void* const address = ::mmap(nullptr, num_bytes_, protection, MAP_SHARED, fd_, 0);
    if (address == MAP_FAILED)
      core::fault("cannot map {} bytes of shared memory: {}", num_bytes_, std::strerror(errno));
    address_ = address;
  }

  size_t num_bytes_;
  int fd_ = -1;
  void* address_ = nullptr;
};

NodeShared::NodeShared(Session& session, const NodeGroups& nodes, std::int64_t num_bytes)
    : session_(session), memory_(std::make_shared<Memory>(num_bytes)) {
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
