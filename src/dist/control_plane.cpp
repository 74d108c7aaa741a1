#include "dist/control_plane.h"

#include <mpi.h>

#include <limits>
#include <utility>

#include "core/check.h"
#include "dist/mpi_check.h"

namespace allreco::dist {
namespace {

int to_count(std::int64_t count, const char* operation) {
  if (count > std::numeric_limits<int>::max())
    core::fault("{} takes less than 2 GiB in all, not {} bytes: send it in parts or through a file", operation, count);
  return static_cast<int>(count);
}

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
};

ControlPlane::ControlPlane(Watchdog& watchdog, Use use) : state_(std::make_unique<State>(watchdog, use)) {
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &state_->comm), "MPI_Comm_dup");
  check_mpi(MPI_Comm_rank(state_->comm, &state_->rank), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(state_->comm, &state_->world_size), "MPI_Comm_size");
}

ControlPlane::~ControlPlane() = default;

std::vector<std::string> ControlPlane::all_gather(const std::string& text) {
  const std::vector<std::int64_t> sizes = state_->all_gather_size(std::ssize(text));
  std::vector<int> counts, offsets;
  std::int64_t total = 0;
  for (std::int64_t size : sizes) {
    offsets.push_back(to_count(total, "all_gather"));
    counts.push_back(to_count(size, "all_gather"));
    total += size;
  }
  std::vector<char> bytes(static_cast<size_t>(to_count(total, "all_gather")));
  text.copy(bytes.data() + offsets[static_cast<size_t>(state_->rank)], text.size());
  const auto start = [comm = state_->comm, counts, offsets](auto& buffer, MPI_Request* request) {
    return MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, buffer.data(), counts.data(), offsets.data(), MPI_BYTE,
                           comm, request);
  };
  bytes = state_->run("all_gather", std::move(bytes), start);
  std::vector<std::string> texts;
  for (size_t i = 0; i < counts.size(); ++i)
    texts.emplace_back(bytes.data() + offsets[i], static_cast<size_t>(counts[i]));
  return texts;
}

std::string ControlPlane::broadcast(std::string text, int root) {
  const auto start = [comm = state_->comm, root](auto& buffer, MPI_Request* request) {
    const auto bytes = buffer.size() * sizeof(buffer[0]);
    return MPI_Ibcast(buffer.data(), static_cast<int>(bytes), MPI_BYTE, root, comm, request);
  };
  const auto size = state_->run("broadcast", std::vector<std::int64_t>{std::ssize(text)}, start)[0];
  std::vector<char> bytes(static_cast<size_t>(to_count(size, "broadcast")));
  if (state_->rank == root) bytes.assign(text.begin(), text.end());
  bytes = state_->run("broadcast", std::move(bytes), start);
  return {bytes.begin(), bytes.end()};
}

std::int64_t ControlPlane::all_max(std::int64_t value, const std::function<void()>& while_waiting) {
  const auto start = [comm = state_->comm](auto& buffer, MPI_Request* request) {
    return MPI_Iallreduce(MPI_IN_PLACE, buffer.data(), 1, MPI_INT64_T, MPI_MAX, comm, request);
  };
  return state_->run("all_max", std::vector<std::int64_t>{value}, start, while_waiting)[0];
}

void ControlPlane::all_sum(std::vector<double>& values) {
  const int count = to_count(std::ssize(values), "all_sum");
  const auto start = [comm = state_->comm, count](auto& buffer, MPI_Request* request) {
    return MPI_Iallreduce(MPI_IN_PLACE, buffer.data(), count, MPI_DOUBLE, MPI_SUM, comm, request);
  };
  values = state_->run("all_sum", values, start);
}

void ControlPlane::barrier() {
  state_->run("barrier", std::vector<char>{},
              [comm = state_->comm](auto&, MPI_Request* request) { return MPI_Ibarrier(comm, request); });
}

}  // namespace allreco::dist
