#include "dist/communicator.h"

#include <algorithm>
#include <limits>

#include "core/check.h"

namespace allreco::dist {
namespace {

constexpr std::int64_t kMaxCount = std::numeric_limits<int>::max();  // what MPI can count

class DoneWork final : public Work {
 public:
  bool poll() override { return true; }
  void wait() override {}
};

class SelfCommunicator final : public Communicator {
 public:
  int rank() const override { return 0; }
  int world_size() const override { return 1; }
  std::unique_ptr<Work> start_all_reduce_sum(at::Tensor tensor) override {
    check_reducible(tensor);
    return std::make_unique<DoneWork>();
  }
  std::unique_ptr<Work> start_tree_sum(at::Tensor tensor) override { return start_all_reduce_sum(std::move(tensor)); }

 protected:
  void broadcast_piece(at::Tensor, int) override {}
};

void check_contiguous(const at::Tensor& tensor, const char* operation) {
  if (!tensor.defined()) core::fault("{} of an undefined tensor", operation);
  if (!tensor.is_contiguous()) core::fault("{} needs a contiguous tensor", operation);
}

}  // namespace

void check_reducible(const at::Tensor& tensor) {
  check_contiguous(tensor, "all_reduce_sum");
  const at::ScalarType type = tensor.scalar_type();
  if (type != at::kFloat && type != at::kDouble && type != at::kLong)
    core::fault("all_reduce_sum takes float32, float64 or int64, not {}", at::toString(type));
  if (tensor.numel() > kMaxCount)
    core::fault("all_reduce_sum takes at most {} elements at once, not {}: reduce it in slices", kMaxCount,
                tensor.numel());
}

void check_tree_world(int world_size) {
  if ((world_size & (world_size - 1)) != 0)
    core::fault("a tree sum needs a number of ranks that is a power of two, not {}", world_size);
}

void check_broadcastable(const at::Tensor& tensor, int root, int world_size) {
  check_contiguous(tensor, "broadcast");
  if (root < 0 || root >= world_size) core::fault("broadcast from rank {} of {} ranks", root, world_size);
}

void Communicator::all_reduce_sum(at::Tensor tensor) { start_all_reduce_sum(std::move(tensor))->wait(); }

// NOLINTNEXTLINE(performance-unnecessary-value-param): its elements are written
void Communicator::broadcast(at::Tensor tensor, int root) {
  check_broadcastable(tensor, root, world_size());
  const at::Tensor bytes = tensor.view({-1}).view(at::kByte);
  for (std::int64_t begin = 0; begin < bytes.numel(); begin += piece_bytes_)
    broadcast_piece(bytes.narrow(0, begin, std::min(piece_bytes_, bytes.numel() - begin)), root);
}

std::unique_ptr<Communicator> make_self_communicator() { return std::make_unique<SelfCommunicator>(); }

}  // namespace allreco::dist
