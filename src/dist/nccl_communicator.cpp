#include "dist/nccl_communicator.h"

#include <ATen/ops/empty_like.h>

#include <string>
#include <utility>

#include "core/check.h"
#include "dist/nccl_lifetime.h"
#include "dist/watchdog.h"

namespace allreco::dist {
namespace {

class NcclWork final : public Work {
 public:
  /// `ready` and `done` enclose the operation: before it on torch's stream, behind it on NCCL's. The tensor stays alive
  /// until then.
  NcclWork(const char* operation, at::Tensor tensor, std::unique_ptr<NcclEvent> ready, std::unique_ptr<NcclEvent> done,
           NcclLifetime& nccl)
      : operation_(operation),
        tensor_(std::move(tensor)),
        ready_(std::move(ready)),
        done_(std::move(done)),
        nccl_(nccl) {}

  bool poll() override {
    return is_done_ || (is_done_ = nccl_.guarded([this](NcclApi&) { return nccl_.is_settled() && done_->query(); }));
  }

  void wait() override {
    if (is_done_) return;
    nccl_.guarded([this](NcclApi&) {
      nccl_.wait_for_gpu(operation_, *ready_);
      nccl_.wait(operation_, *done_);
    });
    is_done_ = true;
  }

 private:
  const char* operation_;
  at::Tensor tensor_;
  std::unique_ptr<NcclEvent> ready_, done_;
  NcclLifetime& nccl_;
  bool is_done_ = false;
};

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(Session& session, std::unique_ptr<NcclApi> api, const std::string& unique_id)
      : rank_(session.rank()),
        world_size_(session.world_size()),
        device_(api->device()),
        watchdog_(session.watchdog()),
        nccl_(std::move(api), unique_id, rank_, world_size_, watchdog_) {}

  int rank() const override { return rank_; }
  int world_size() const override { return world_size_; }

  std::unique_ptr<Work> start_all_reduce_sum(at::Tensor tensor) override {
    check_reducible(tensor);
    return start("NCCL all_reduce_sum", std::move(tensor),
                 [](NcclApi& nccl, const at::Tensor& t) { nccl.all_reduce_sum(t); });
  }

  std::unique_ptr<Work> start_tree_sum(at::Tensor tensor) override {
    check_reducible(tensor);
    check_tree_world(world_size_);
    const at::Tensor theirs = at::empty_like(tensor);
    return start("NCCL tree_sum", std::move(tensor), [this, theirs](NcclApi& nccl, const at::Tensor& mine) {
      for (int distance = 1; distance < world_size_; distance *= 2) {
        nccl.exchange(rank_ ^ distance, mine, theirs);
        nccl_.settle("NCCL tree_sum");
        nccl.add(mine, theirs);
      }
      nccl.keep_alive(theirs);
    });
  }

  void broadcast(at::Tensor tensor, int root) override {
    check_broadcastable(tensor, root, world_size_);
    start("NCCL broadcast", std::move(tensor), [root](NcclApi& nccl, const at::Tensor& t) {
      nccl.broadcast(t, root);
    })->wait();
  }

 private:
  /// Behind what torch's current stream holds now, on NCCL's own stream.
  template <class Issue>
  std::unique_ptr<Work> start(const char* operation, at::Tensor tensor, Issue issue) {
    if (tensor.device() != device_)
      core::fault("NCCL reduces tensors on {}, not one on {}", device_.str(), tensor.device().str());
    watchdog_.begin(operation);
    return nccl_.guarded([&](NcclApi& nccl) {
      std::unique_ptr<NcclEvent> ready = nccl.follow_current_stream();
      issue(nccl, tensor);
      nccl_.settle(operation);
      std::unique_ptr<NcclEvent> done = nccl.record();
      // Should an error drop the Work early, the allocator must not give the memory away while NCCL still uses it.
      nccl.keep_alive(tensor);
      return std::make_unique<NcclWork>(operation, std::move(tensor), std::move(ready), std::move(done), nccl_);
    });
  }

  int rank_;
  int world_size_;
  c10::Device device_;
  Watchdog& watchdog_;
  NcclLifetime nccl_;
};

}  // namespace

std::unique_ptr<Communicator> make_nccl_communicator(Session& session,
                                                     const std::function<std::unique_ptr<NcclApi>()>& make_api) {
  std::unique_ptr<NcclApi> api;
  std::string unique_id;
  session.together("preparing NCCL", [&] {
    api = make_api();
    if (session.is_leader()) unique_id = api->unique_id();
  });
  unique_id = session.broadcast(std::move(unique_id));
  std::unique_ptr<Communicator> plane;
  session.together("starting NCCL",
                   [&] { plane = std::make_unique<NcclCommunicator>(session, std::move(api), unique_id); });
  return plane;
}

std::unique_ptr<Communicator> make_nccl_communicator(Session& session, int device) {
  return make_nccl_communicator(session, [device] { return make_nccl_api(device); });
}

}  // namespace allreco::dist
