#include "dist/mpi_communicator.h"

#include <ATen/ops/empty_like.h>
#include <mpi.h>

#include <vector>

#include "core/check.h"
#include "dist/mpi_check.h"

namespace allreco::dist {
namespace {

/// What MPI reads and writes until the request is done.
struct PendingRequest {
  at::Tensor tensor;
  MPI_Request request = MPI_REQUEST_NULL;
};
using Abandoned = std::vector<std::shared_ptr<PendingRequest>>;

constexpr int kNumTags = 32768;  // every MPI has as many; far more than operations under way at once

class MpiWork final : public Work {
 public:
  MpiWork(const char* operation, std::shared_ptr<PendingRequest> pending, Watchdog& watchdog, Abandoned& abandoned)
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
  std::shared_ptr<PendingRequest> pending_;
  Watchdog& watchdog_;
  Abandoned& abandoned_;
  bool done_ = false;
};

MPI_Datatype datatype_of(const at::Tensor& tensor) {
  if (tensor.scalar_type() == at::kFloat) return MPI_FLOAT;
  return tensor.scalar_type() == at::kDouble ? MPI_DOUBLE : MPI_INT64_T;
}

/// A tree sum under way: level by level, this rank swaps its sum so far with the rank whose number differs in one bit.
/// Both then add the same two numbers, and addition commutes, so both hold the same bits.
class MpiTreeWork final : public Work {
 public:
  /// `tag`: of this operation alone, since another one's levels may overtake it.
  MpiTreeWork(at::Tensor tensor, MPI_Comm comm, int rank, int world_size, int tag, Watchdog& watchdog,
              Abandoned& abandoned)
      : tensor_(std::move(tensor)),
        comm_(comm),
        rank_(rank),
        world_size_(world_size),
        tag_(tag),
        watchdog_(watchdog),
        abandoned_(abandoned) {
    start_level();
  }

  ~MpiTreeWork() override {
    if (!receive_) return;
    abandoned_.push_back(std::move(send_));
    abandoned_.push_back(std::move(receive_));
  }

  bool poll() override {
    while (receive_) {
      int sent = 0, received = 0;
      check_mpi(MPI_Test(&send_->request, &sent, MPI_STATUS_IGNORE), "all_reduce_sum");
      check_mpi(MPI_Test(&receive_->request, &received, MPI_STATUS_IGNORE), "all_reduce_sum");
      if (!sent || !received) return false;
      tensor_.add_(receive_->tensor);
      distance_ *= 2;
      start_level();
    }
    return true;
  }

  void wait() override {
    watchdog_.wait("all_reduce_sum", [this] { return poll(); });
  }

 private:
  void start_level() {
    if (distance_ >= world_size_) {
      send_.reset();
      receive_.reset();
      return;
    }
    const at::Tensor theirs = receive_ ? receive_->tensor : at::empty_like(tensor_);
    send_ = std::make_shared<PendingRequest>(PendingRequest{tensor_});
    receive_ = std::make_shared<PendingRequest>(PendingRequest{theirs});
    const int partner = rank_ ^ distance_;
    const int count = static_cast<int>(tensor_.numel());
    check_mpi(MPI_Irecv(theirs.data_ptr(), count, datatype_of(tensor_), partner, tag_, comm_, &receive_->request),
              "MPI_Irecv");
    check_mpi(MPI_Isend(tensor_.data_ptr(), count, datatype_of(tensor_), partner, tag_, comm_, &send_->request),
              "MPI_Isend");
  }

  at::Tensor tensor_;
  MPI_Comm comm_;
  int rank_, world_size_, tag_;
  int distance_ = 1;
  std::shared_ptr<PendingRequest> send_, receive_;  // null when all levels are done
  Watchdog& watchdog_;
  Abandoned& abandoned_;
};

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
    const auto pending = std::make_shared<PendingRequest>(PendingRequest{std::move(tensor)});
    const at::Tensor& t = pending->tensor;
    check_mpi(MPI_Iallreduce(MPI_IN_PLACE, t.data_ptr(), static_cast<int>(t.numel()), datatype_of(t), MPI_SUM, comm_,
                             &pending->request),
              "MPI_Iallreduce");
    return std::make_unique<MpiWork>("all_reduce_sum", pending, watchdog_, abandoned_);
  }

  std::unique_ptr<Work> start_tree_sum(at::Tensor tensor) override {
    check_reducible(tensor);
    check_on_cpu(tensor);
    check_tree_world(world_size_);
    watchdog_.begin("all_reduce_sum");
    next_tag_ = (next_tag_ + 1) % kNumTags;
    return std::make_unique<MpiTreeWork>(std::move(tensor), comm_, rank_, world_size_, next_tag_, watchdog_,
                                         abandoned_);
  }

  void broadcast_piece(at::Tensor tensor, int root) override {
    check_on_cpu(tensor);
    watchdog_.begin("broadcast");
    const auto pending = std::make_shared<PendingRequest>(PendingRequest{std::move(tensor)});
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
  int next_tag_ = 0;  // all ranks start the same operations in the same order, so they agree
  Abandoned abandoned_;
};

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator(Watchdog& watchdog) {
  return std::make_unique<MpiCommunicator>(watchdog);
}

}  // namespace allreco::dist
