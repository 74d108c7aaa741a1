#include "dist/control_plane.h"

#include <mpi.h>

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "dist/mpi_check.h"

namespace allreco::dist {
namespace {

/// MPI counts in int; a piece's bytes, of all ranks together, stay below.
constexpr std::int64_t kPieceBytes = std::int64_t{1} << 28;

/// A collective under way, with all that MPI reads and writes until it is done.
template <class T, class Start>
struct Pending {
  std::vector<T> buffer;
  Start start;  // start(buffer, &request); may own counts and offsets
  MPI_Request request = MPI_REQUEST_NULL;
};

}  // namespace

struct ControlPlane::State {
  State(Watchdog& w, Use u) : watchdog(w), use(u) {}

  Watchdog& watchdog;
  Use use;
  MPI_Comm comm = MPI_COMM_NULL;  // freed by MPI_Finalize
  int rank = 0;
  int world_size = 1;
  std::int64_t piece_bytes = kPieceBytes;
  std::vector<std::shared_ptr<void>> abandoned;  // left half way after an error; MPI may still write there

  template <class T, class Start>
  std::vector<T> run(const char* operation, std::vector<T> buffer, Start start,
                     const std::function<void()>& while_waiting = {}) {
    if (use == Use::agreements)
      watchdog.begin_agreement();
    else
      watchdog.begin(operation);
    const auto pending = std::make_shared<Pending<T, Start>>(Pending<T, Start>{std::move(buffer), std::move(start)});
    check_mpi(pending->start(pending->buffer, &pending->request), operation);
    try {
      watchdog.wait(operation, [&] {
        int done = 0;
        check_mpi(MPI_Test(&pending->request, &done, MPI_STATUS_IGNORE), operation);
        if (!done && while_waiting) while_waiting();
        return done != 0;
      });
    } catch (...) {
      abandoned.push_back(pending);
      throw;
    }
    return std::move(pending->buffer);
  }

  std::vector<std::int64_t> all_gather_size(std::int64_t size) {
    std::vector<std::int64_t> sizes(static_cast<size_t>(world_size));
    sizes[static_cast<size_t>(rank)] = size;
    return run("all_gather", std::move(sizes), [this](auto& buffer, MPI_Request* request) {
      return MPI_Iallgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, buffer.data(), 1, MPI_INT64_T, comm, request);
    });
  }

  /// Of each rank's text the bytes from `begin` on, at most `share`.
  std::vector<std::string> all_gather_part(const std::string& text, std::int64_t begin, std::int64_t share,
                                           const std::vector<std::int64_t>& sizes) {
    std::vector<int> counts, offsets;
    int total = 0;
    for (std::int64_t size : sizes) {
      offsets.push_back(total);
      counts.push_back(static_cast<int>(std::clamp<std::int64_t>(size - begin, 0, share)));
      total += counts.back();
    }
    std::vector<char> bytes(static_cast<size_t>(total));
    const auto mine = static_cast<size_t>(rank);
    if (counts[mine] > 0)
      text.copy(bytes.data() + offsets[mine], static_cast<size_t>(counts[mine]), static_cast<size_t>(begin));
    const auto start = [this, counts, offsets](auto& buffer, MPI_Request* request) {
      return MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, buffer.data(), counts.data(), offsets.data(), MPI_BYTE,
                             comm, request);
    };
    bytes = run("all_gather", std::move(bytes), start);
    std::vector<std::string> parts;
    for (size_t i = 0; i < counts.size(); ++i)
      parts.emplace_back(bytes.data() + offsets[i], static_cast<size_t>(counts[i]));
    return parts;
  }
};

ControlPlane::ControlPlane(Watchdog& watchdog, Use use) : state_(std::make_unique<State>(watchdog, use)) {
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &state_->comm), "MPI_Comm_dup");
  check_mpi(MPI_Comm_rank(state_->comm, &state_->rank), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(state_->comm, &state_->world_size), "MPI_Comm_size");
}

ControlPlane::~ControlPlane() = default;

void ControlPlane::set_piece_bytes(std::int64_t bytes) { state_->piece_bytes = bytes; }

std::vector<std::string> ControlPlane::all_gather(const std::string& text) {
  const std::vector<std::int64_t> sizes = state_->all_gather_size(std::ssize(text));
  const std::int64_t longest = *std::max_element(sizes.begin(), sizes.end());
  const std::int64_t share = std::max<std::int64_t>(1, state_->piece_bytes / state_->world_size);
  std::vector<std::string> texts(sizes.size());
  for (std::int64_t begin = 0; begin < longest; begin += share) {
    const std::vector<std::string> parts = state_->all_gather_part(text, begin, share, sizes);
    for (size_t rank = 0; rank < texts.size(); ++rank) texts[rank] += parts[rank];
  }
  return texts;
}

std::string ControlPlane::broadcast(std::string text, int root) {
  const auto start = [comm = state_->comm, root](auto& buffer, MPI_Request* request) {
    const auto bytes = buffer.size() * sizeof(buffer[0]);
    return MPI_Ibcast(buffer.data(), static_cast<int>(bytes), MPI_BYTE, root, comm, request);
  };
  const auto size = state_->run("broadcast", std::vector<std::int64_t>{std::ssize(text)}, start)[0];
  text.resize(static_cast<size_t>(size));
  for (std::int64_t begin = 0; begin < size; begin += state_->piece_bytes) {
    const auto first = text.begin() + begin;
    std::vector<char> bytes(first, first + std::min(state_->piece_bytes, size - begin));
    bytes = state_->run("broadcast", std::move(bytes), start);
    std::copy(bytes.begin(), bytes.end(), first);
  }
  return text;
}

std::int64_t ControlPlane::all_max(std::int64_t value, const std::function<void()>& while_waiting) {
  const auto start = [comm = state_->comm](auto& buffer, MPI_Request* request) {
    return MPI_Iallreduce(MPI_IN_PLACE, buffer.data(), 1, MPI_INT64_T, MPI_MAX, comm, request);
  };
  return state_->run("all_max", std::vector<std::int64_t>{value}, start, while_waiting)[0];
}

void ControlPlane::all_sum(std::vector<double>& values) {
  const auto start = [comm = state_->comm](auto& buffer, MPI_Request* request) {
    return MPI_Iallreduce(MPI_IN_PLACE, buffer.data(), static_cast<int>(buffer.size()), MPI_DOUBLE, MPI_SUM, comm,
                          request);
  };
  const std::int64_t longest = std::max<std::int64_t>(1, state_->piece_bytes / std::int64_t{sizeof(double)});
  for (std::int64_t begin = 0; begin < std::ssize(values); begin += longest) {
    const auto first = values.begin() + begin;
    std::vector<double> part(first, first + std::min(longest, std::ssize(values) - begin));
    part = state_->run("all_sum", std::move(part), start);
    std::copy(part.begin(), part.end(), first);
  }
}

void ControlPlane::all_reduce(std::vector<std::int64_t>& values, Reduction reduction) {
  const MPI_Op operation = reduction == Reduction::sum ? MPI_SUM : reduction == Reduction::minimum ? MPI_MIN : MPI_MAX;
  const auto start = [comm = state_->comm, operation](auto& buffer, MPI_Request* request) {
    return MPI_Iallreduce(MPI_IN_PLACE, buffer.data(), static_cast<int>(buffer.size()), MPI_INT64_T, operation, comm,
                          request);
  };
  const std::int64_t longest = std::max<std::int64_t>(1, state_->piece_bytes / std::int64_t{sizeof(std::int64_t)});
  for (std::int64_t begin = 0; begin < std::ssize(values); begin += longest) {
    const auto first = values.begin() + begin;
    std::vector<std::int64_t> part(first, first + std::min(longest, std::ssize(values) - begin));
    part = state_->run("all_reduce", std::move(part), start);
    std::copy(part.begin(), part.end(), first);
  }
}

std::vector<std::string> ControlPlane::all_to_all(const std::vector<std::string>& texts) {
  const auto num_ranks = static_cast<size_t>(state_->world_size);
  core::require(texts.size() == num_ranks, "all_to_all takes a text for each rank");
  // sizes[0, N): what goes to each rank; sizes[N, 2N): what comes from it.
  std::vector<std::int64_t> sizes(2 * num_ranks);
  for (size_t rank = 0; rank < num_ranks; ++rank) sizes[rank] = std::ssize(texts[rank]);
  sizes = state_->run("all_to_all", std::move(sizes), [comm = state_->comm, num_ranks](auto& buffer, auto* request) {
    return MPI_Ialltoall(buffer.data(), 1, MPI_INT64_T, buffer.data() + num_ranks, 1, MPI_INT64_T, comm, request);
  });
  // One buffer, as it must outlive a wait that fails: what is sent, a byte, what is received. The byte, because Open
  // MPI takes equal addresses of both for MPI_IN_PLACE.
  std::vector<int> counts, offsets;
  std::int64_t total = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (i == num_ranks) ++total;
    counts.push_back(static_cast<int>(sizes[i]));
    offsets.push_back(static_cast<int>(total));
    total += sizes[i];
    core::require(total < std::int64_t{1} << 31, "all_to_all moves less than 2 GiB at a time");
  }
  std::vector<char> bytes(static_cast<size_t>(total));
  for (size_t rank = 0; rank < num_ranks; ++rank)
    std::copy(texts[rank].begin(), texts[rank].end(), bytes.begin() + offsets[rank]);
  const int first_received = offsets[num_ranks];
  for (size_t rank = num_ranks; rank < 2 * num_ranks; ++rank) offsets[rank] -= first_received;
  const auto start = [=, comm = state_->comm](auto& buffer, MPI_Request* request) {
    return MPI_Ialltoallv(buffer.data(), counts.data(), offsets.data(), MPI_BYTE, buffer.data() + first_received,
                          counts.data() + num_ranks, offsets.data() + num_ranks, MPI_BYTE, comm, request);
  };
  bytes = state_->run("all_to_all", std::move(bytes), start);
  std::vector<std::string> received;
  for (size_t rank = num_ranks; rank < 2 * num_ranks; ++rank)
    received.emplace_back(bytes.data() + first_received + offsets[rank], static_cast<size_t>(counts[rank]));
  return received;
}

void ControlPlane::barrier() {
  state_->run("barrier", std::vector<char>{},
              [comm = state_->comm](auto&, MPI_Request* request) { return MPI_Ibarrier(comm, request); });
}

}  // namespace allreco::dist
