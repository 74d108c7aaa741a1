// Communicator: collectives over tensors, one implementation per data plane: self (world size 1), mpi (CPU), nccl
// (GPU). All calls are collective over all ranks: every rank makes the same calls in the same order with tensors of the
// same dtype and size. Main thread only. A plane is bound to the Session it was made from, whose watchdog guards every
// wait.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string_view>

namespace allreco::dist {

/// An operation under way. It keeps its tensor alive; the tensor must neither be read nor written before wait()
/// returns. Destroying it without wait() is for error paths only: the operation then goes on in the background,
/// unobserved.
class Work {
 public:
  virtual ~Work() = default;
  /// Gives the transport a chance to advance; true when done. Never blocks.
  virtual bool poll() = 0;
  /// Blocks the host until the result is in the tensor, or throws a Fault naming the missing rank after the session's
  /// timeout.
  virtual void wait() = 0;
};

class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int world_size() const = 0;

  /// Starts the element-wise sum over all ranks, in place; the result is there, with the same bits on every rank, when
  /// wait() has returned. `tensor`: contiguous, float32, float64 or int64, fewer than 2^31 elements, on this plane's
  /// device.
  virtual std::unique_ptr<Work> start_all_reduce_sum(at::Tensor tensor) = 0;
  /// The same sum in a fixed order, by recursive doubling: neighbours add theirs, then pairs of neighbours, and so on.
  /// Its bits are those of a binary tree over the ranks, so 2^n ranks that each hold the sum of a subtree give the same
  /// bits for every n. More traffic than start_all_reduce_sum. REQUIRES a world size that is a power of two.
  virtual std::unique_ptr<Work> start_tree_sum(at::Tensor tensor) = 0;
  /// start_all_reduce_sum, done on return.
  void all_reduce_sum(at::Tensor tensor);
  /// In place: the root's contents on every rank, on return. Contiguous, any dtype and size, on this plane's device.
  /// It goes in pieces, so that the session's timeout measures a standstill and not the size.
  void broadcast(at::Tensor tensor, int root);
  /// Of such a piece, on all ranks alike; for tests.
  void set_piece_bytes(std::int64_t bytes) { piece_bytes_ = bytes; }

 protected:
  /// In place, done on return. `bytes`: uint8 [n], 0 < n < 2^31.
  virtual void broadcast_piece(at::Tensor bytes, int root) = 0;

 private:
  std::int64_t piece_bytes_ = std::int64_t{1} << 28;
};

/// World size 1: sums and broadcasts are what they already are. Tensors may be on any device; they are checked as on
/// the other planes.
std::unique_ptr<Communicator> make_self_communicator();

/// The checks that every plane shares; a Fault says what is wrong with the tensor.
void check_reducible(const at::Tensor& tensor);
void check_tree_world(int world_size);
void check_broadcastable(const at::Tensor& tensor, int root, int world_size);

}  // namespace allreco::dist
