#include "dist/mpi_communicator.h"

#include <mpi.h>

#include <vector>

#include "core/check.h"
#include "dist/mpi_check.h"

namespace allreco::dist {
namespace {

/// What MPI reads and writes until the request is done.
struct Pending {
  at::Tensor tensor;
  MPI_Request request = MPI_REQUEST_NULL;
};
using Abandoned = std::vector<std::shared_ptr<Pending>>;

class MpiWork final : public Work {
 public:
  MpiWork(const char* operation, std::shared_ptr<Pending> pending, Watchdog& watchdog, Abandoned& abandoned)
      : operation_(operation), pending_(std::move(pending)), watchdog_(watchdog), abandoned_(abandoned) {}

  // A collective cannot be cancelled: after an error its tensor must stay, since MPI may still write to it.
  ~MpiWork() override {
    if (!done_) abandoned_.push_back(std::move(pending_));
  }

  bool poll() override {
    if (done_) return true;
    int done = 0;
    check_mpi(MPI_Test(&pending_->request, &done, MPI_STATUS_IGNORE), operation_);
    return done_ = done != 0;
  }

  void wait() override {
    watchdog_.wait(operation_, [this] { return poll(); });
  }

 private:
  const char* operation_;
  std::shared_ptr<Pending> pending_;
  Watchdog& watchdog_;
  Abandoned& abandoned_;
  bool done_ = false;
};

MPI_Datatype datatype_of(const at::Tensor& tensor) {
  if (tensor.scalar_type() == at::kFloat) return MPI_FLOAT;
  return tensor.scalar_type() == at::kDouble ? MPI_DOUBLE : MPI_INT64_T;
}

class MpiCommunicator final : public Communicator {
 public:
  explicit MpiCommunicator(Watchdog& watchdog) : watchdog_(watchdog) {
    check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &comm_), "MPI_Comm_dup");
    check_mpi(MPI_Comm_rank(comm_, &rank_), "MPI_Comm_rank");
    check_mpi(MPI_Comm_size(comm_, &world_size_), "MPI_Comm_size");
  }

  int rank() const override { return rank_; }
  int world_size() const override { return world_size_; }

  std::unique_ptr<Work> start_all_reduce_sum(at::Tensor tensor) override {
    check_reducible(tensor);
    check_on_cpu(tensor);
    watchdog_.begin("all_reduce_sum");
    const auto pending = std::make_shared<Pending>(Pending{std::move(tensor)});
    const at::Tensor& t = pending->tensor;
    check_mpi(MPI_Iallreduce(MPI_IN_PLACE, t.data_ptr(), static_cast<int>(t.numel()), datatype_of(t), MPI_SUM, comm_,
                             &pending->request),
              "MPI_Iallreduce");
    return std::make_unique<MpiWork>("all_reduce_sum", pending, watchdog_, abandoned_);
  }

  void broadcast(at::Tensor tensor, int root) override {
    check_broadcastable(tensor, root, world_size_);
    check_on_cpu(tensor);
    watchdog_.begin("broadcast");
    const auto pending = std::make_shared<Pending>(Pending{std::move(tensor)});
    const at::Tensor& t = pending->tensor;
    check_mpi(MPI_Ibcast(t.data_ptr(), static_cast<int>(t.nbytes()), MPI_BYTE, root, comm_, &pending->request),
              "MPI_Ibcast");
    MpiWork("broadcast", pending, watchdog_, abandoned_).wait();
  }

 private:
  static void check_on_cpu(const at::Tensor& tensor) {
    if (!tensor.is_cpu()) core::fault("the MPI data plane takes CPU tensors, not one on {}", tensor.device().str());
  }

  Watchdog& watchdog_;
  MPI_Comm comm_ = MPI_COMM_NULL;  // freed by MPI_Finalize
  int rank_ = 0;
  int world_size_ = 1;
  Abandoned abandoned_;
};

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator(Watchdog& watchdog) {
  return std::make_unique<MpiCommunicator>(watchdog);
}

}  // namespace allreco::dist
