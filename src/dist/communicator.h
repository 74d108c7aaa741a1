// Communicator: collectives over tensors, one implementation per data plane: self (world size 1), mpi (CPU), nccl (GPU).
// All calls are collective: every rank makes the same calls in the same order with tensors of the same dtype and size. Main thread only.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>

namespace allreco::dist {

/// An operation under way. Its tensor must neither be read nor written before wait() returns.
class Work {
 public:
  virtual ~Work() = default;
  /// Gives the transport a chance to advance; true when done. Never blocks.
  virtual bool poll() = 0;
  /// Blocks until done, or throws a Fault naming the missing rank after the session's timeout.
  virtual void wait() = 0;
};

class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int world_size() const = 0;

  /// Starts the element-wise sum over all ranks, in place. `tensor`: contiguous, float32, float64 or int64, on this plane's device.
  virtual std::unique_ptr<Work> start_all_reduce_sum(at::Tensor tensor) = 0;
  /// The same, done on return.
  void all_reduce_sum(at::Tensor tensor);
  /// In place: the root's contents on every rank. Any dtype.
  virtual void broadcast(at::Tensor tensor, int root) = 0;
};

}  // namespace allreco::dist
