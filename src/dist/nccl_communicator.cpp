#include "dist/nccl_communicator.h"

#include <ATen/ops/empty_like.h>

#include <string>
#include <utility>
#include <vector>

#include "core/check.h"
#include "dist/nccl_lifetime.h"
#include "dist/watchdog.h"

namespace allreco::dist {
namespace {

class NcclWork final : public Work {
 public:
  NcclWork(const char* operation, std::vector<at::Tensor> buffers, NcclLifetime& nccl)
      : operation_(operation), buffers_(std::move(buffers)), nccl_(nccl) {}

  // What an error leaves under way NCCL may still read and write.
  ~NcclWork() override {
    if (!is_done_) nccl_.abandon(std::move(buffers_));
  }
  NcclWork(const NcclWork&) = delete;
  NcclWork& operator=(const NcclWork&) = delete;

  /// `ready` and `done` enclose the operation: before it on torch's stream, behind it on NCCL's.
  void set_ready(std::unique_ptr<NcclEvent> ready) { ready_ = std::move(ready); }
  void set_done(std::unique_ptr<NcclEvent> done) { done_ = std::move(done); }

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
  std::vector<at::Tensor> buffers_;  // all that the operation reads and writes
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
    return start("NCCL all_reduce_sum", {tensor}, [&](NcclApi& nccl) { nccl.all_reduce_sum(tensor); });
  }

  std::unique_ptr<Work> start_tree_sum(at::Tensor mine) override {
    check_reducible(mine);
    check_tree_world(world_size_);
    const at::Tensor theirs = at::empty_like(mine);
    return start("NCCL tree_sum", {mine, theirs}, [&](NcclApi& nccl) {
      for (int distance = 1; distance < world_size_; distance *= 2) {
        nccl.exchange(rank_ ^ distance, mine, theirs);
        nccl_.settle("NCCL tree_sum");
        nccl.add(mine, theirs);
      }
    });
  }

  void broadcast_piece(at::Tensor tensor, int root) override {
    start("NCCL broadcast", {tensor}, [&](NcclApi& nccl) { nccl.broadcast(tensor, root); })->wait();
  }

 private:
  /// Behind what torch's current stream holds now, on NCCL's own stream. `buffers`: all that it reads and writes.
  template <class Issue>
  std::unique_ptr<Work> start(const char* operation, const std::vector<at::Tensor>& buffers, Issue issue) {
    if (buffers[0].device() != device_)
      core::fault("NCCL reduces tensors on {}, not one on {}", device_.str(), buffers[0].device().str());
    watchdog_.begin(operation);
    auto work = std::make_unique<NcclWork>(operation, buffers, nccl_);  // from now on the buffers outlive an error
    nccl_.guarded([&](NcclApi& nccl) {
      work->set_ready(nccl.follow_current_stream());
      // The allocator must not give the memory away while NCCL still uses it.
      for (const at::Tensor& buffer : buffers) nccl.keep_alive(buffer);
      issue(nccl);
      nccl_.settle(operation);
      work->set_done(nccl.record());
    });
    return work;
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

std::unique_ptr<Communicator> make_nccl_communicator(Session& session, int device, const NcclOptions& options) {
  return make_nccl_communicator(session, [&] { return make_nccl_api(device, options); });
}

}  // namespace allreco::dist
