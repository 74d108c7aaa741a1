#include "dist/nccl_double.h"

#include <fmt/format.h>
#include <mpi.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <thread>

#include "core/check.h"

namespace allreco::dist {
namespace {

void check(int code) { core::require(code == MPI_SUCCESS, "the double's MPI failed"); }

MPI_Datatype datatype_of(const at::Tensor& t) {
  if (t.scalar_type() == at::kFloat) return MPI_FLOAT;
  return t.scalar_type() == at::kDouble ? MPI_DOUBLE : MPI_INT64_T;
}

/// A buffer of an operation: the double's one reference to it, so that others can be counted.
using Buffer = std::shared_ptr<const at::Tensor>;
Buffer hold(const at::Tensor& t) { return std::make_shared<const at::Tensor>(t); }

/// One thing that the stream does: begin() once, then is_done() until it is true.
struct Operation {
  std::function<void(std::vector<MPI_Request>&)> begin;
  std::vector<Buffer> buffers = {};  // what it reads and writes
  int polls_before = 0;              // kNever: the GPU does not come to it
  bool never_done = false;
  std::vector<MPI_Request> requests = {};
  bool begun = false;

  bool is_done() {
    if (polls_before == kNever || polls_before-- > 0) return false;
    polls_before = 0;
    if (!begun) begin(requests);
    begun = true;
    int done = 1;
    if (!requests.empty()) {
      check(MPI_Testall(static_cast<int>(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE));
    }
    return done != 0 && !never_done;
  }
};

/// In order, and only as far as each has come when it is asked.
class Stream {
 public:
  void add(Operation operation) {
    operations_.push_back(std::move(operation));
    ++num_added_;
  }
  std::int64_t num_added() const { return num_added_; }
  /// Whether somebody else holds all that the operations under way read and write.
  bool buffers_are_alive() const {
    for (const Operation& operation : operations_)
      for (const Buffer& buffer : operation.buffers)
        if (buffer->use_count() < 2) return false;
    return true;
  }
  std::int64_t num_done() {
    while (!operations_.empty() && operations_.front().is_done()) operations_.pop_front();
    return num_added_ - std::ssize(operations_);
  }

 private:
  std::deque<Operation> operations_;
  std::int64_t num_added_ = 0;
};

/// Behind the first `position` operations.
class DoubleEvent final : public NcclEvent {
 public:
  DoubleEvent(std::shared_ptr<Stream> stream, std::int64_t position)
      : stream_(std::move(stream)), position_(position) {}
  bool query() override { return stream_->num_done() >= position_; }

 private:
  std::shared_ptr<Stream> stream_;
  std::int64_t position_;
};

/// What the caller keeps to.
enum class Life { made, alive, finalizing, over };

class NcclDouble final : public NcclApi {
 public:
  NcclDouble(const NcclScript& script, NcclCalls calls) : script_(script), calls_(std::move(calls)) {
    int mpi_is_up = 0;
    check(MPI_Initialized(&mpi_is_up));
    if (mpi_is_up) check(MPI_Comm_dup(MPI_COMM_WORLD, &comm_));
  }

  // MPI cannot be called off: it may still write to the tensors of what an abort left under way.
  ~NcclDouble() override {
    static std::vector<std::shared_ptr<Stream>> abandoned;
    abandoned.push_back(std::move(stream_));
  }

  c10::Device device() const override { return c10::DeviceType::CPU; }

  std::string unique_id() override { return std::string("id\0of the double", 16); }

  void init(const std::string& unique_id, int rank, int) override {
    if (unique_id != this->unique_id()) broken("init with another id");
    rank_ = rank;
    begin_call("init", Life::made);
    life_ = Life::alive;
    meet_all();
  }

  NcclStatus async_status() override {
    if (life_ != Life::alive && life_ != Life::finalizing) broken("async_status");
    const std::int64_t num_done = stream_->num_done();
    if (polls_until_settled_ > 0 && polls_until_settled_ != kNever) --polls_until_settled_;
    const bool was_settled = is_settled_;
    is_settled_ = polls_until_settled_ == 0 && num_done >= needed_to_settle_;
    const bool is_init = num_calls_ == 1;  // says so at once; a collective only after it was taken in
    if (fails_in_background_ && (was_settled || is_init)) return {true, error("the background")};
    return {is_settled_, ""};
  }

  std::unique_ptr<NcclEvent> follow_current_stream() override {
    check_alive("follow_current_stream");
    const bool hangs = num_calls_ == script_.gpu_hangs_at;
    if (hangs || script_.polls_until_ready > 0)
      stream_->add({.begin = [](auto&) {}, .polls_before = hangs ? kNever : script_.polls_until_ready});
    return std::make_unique<DoubleEvent>(stream_, stream_->num_added());
  }

  void all_reduce_sum(const at::Tensor& tensor) override {
    const Buffer t = hold(tensor);
    collective("all_reduce_sum", {t}, [this, t](auto& requests) {
      check(MPI_Iallreduce(MPI_IN_PLACE, t->data_ptr(), static_cast<int>(t->numel()), datatype_of(*t), MPI_SUM, comm_,
                           &requests.emplace_back()));
    });
  }

  void broadcast(const at::Tensor& tensor, int root) override {
    const Buffer t = hold(tensor);
    collective("broadcast", {t}, [this, t, root](auto& requests) {
      check(MPI_Ibcast(t->data_ptr(), static_cast<int>(t->nbytes()), MPI_BYTE, root, comm_, &requests.emplace_back()));
    });
  }

  void exchange(int partner, const at::Tensor& mine, const at::Tensor& theirs) override {
    const Buffer from = hold(mine), to = hold(theirs);
    collective("exchange", {from, to}, [this, partner, from, to](auto& requests) {
      const auto count = static_cast<int>(from->numel());
      requests.resize(2);
      check(MPI_Isend(from->data_ptr(), count, datatype_of(*from), partner, 0, comm_, &requests[0]));
      check(MPI_Irecv(to->data_ptr(), count, datatype_of(*to), partner, 0, comm_, &requests[1]));
    });
  }

  void add(const at::Tensor& mine, const at::Tensor& theirs) override {
    check_alive("add");
    const Buffer to = hold(mine), from = hold(theirs);
    stream_->add({.begin = [to, from](auto&) { to->add_(*from); }, .buffers = {to, from}});
  }

  std::unique_ptr<NcclEvent> record() override {
    check_alive("record");
    return std::make_unique<DoubleEvent>(stream_, stream_->num_added());
  }

  void keep_alive(const at::Tensor&) override { check_alive("keep_alive"); }

  void abort() noexcept override {
    if (life_ == Life::over) broken("abort");
    life_ = Life::over;
    calls_->push_back("abort");
    std::fprintf(stderr, "double: rank %d is aborted\n", rank_);
    if (!stream_->buffers_are_alive()) calls_->push_back("its buffers were gone");
    while (script_.abort_hangs) {  // its kernels still run
      if (!stream_->buffers_are_alive()) broken("buffers that were gone before the abort was over");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  void finalize() override {
    check_alive("finalize");
    calls_->push_back("finalize");
    life_ = Life::finalizing;
    if (script_.finalize_fails) throw core::Fault(error("finalize"));
    polls_until_settled_ = script_.finalize_never_settles ? kNever : script_.polls_until_settled;
    is_settled_ = false;
    meet_all();
  }

  void destroy() override {
    if (life_ != Life::finalizing || !is_settled_) broken("destroy");
    calls_->push_back("destroy");
    life_ = Life::over;
  }

 private:
  [[noreturn]] void broken(const char* call) const {
    std::fprintf(stderr, "double: rank %d broke NCCL's rules with %s\n", rank_, call);
    std::_Exit(kRuleBroken);
  }

  void check_alive(const char* call) const {
    if (life_ != Life::alive || !is_settled_) broken(call);
  }

  std::string error(const std::string& call) const {
    return fmt::format("NCCL failed in {}: scripted error of rank {}", call, rank_);
  }

  void begin_call(const char* name, Life expected) {
    if (life_ != expected || !is_settled_) broken(name);
    const int call = num_calls_++;
    calls_->push_back(name);
    if (call == script_.stops_at) std::raise(SIGSTOP);
    if (call == script_.fails_at) throw core::Fault(error(name));
    fails_in_background_ = call == script_.fails_after;
    polls_until_settled_ = call == script_.never_settles_at ? kNever : script_.polls_until_settled;
    is_settled_ = false;
  }

  /// No rank has joined, or ended, before all have.
  void meet_all() {
    stream_->add({.begin = [this](auto& requests) {
      if (comm_ != MPI_COMM_NULL) check(MPI_Ibarrier(comm_, &requests.emplace_back()));
    }});
    needed_to_settle_ = stream_->num_added();
  }

  void collective(const char* name, std::vector<Buffer> buffers, std::function<void(std::vector<MPI_Request>&)> begin) {
    const bool never_done = num_calls_ == script_.never_done_at;
    begin_call(name, Life::alive);
    if (comm_ == MPI_COMM_NULL) begin = [](auto&) {};  // the sum of one rank
    stream_->add({.begin = std::move(begin), .buffers = std::move(buffers), .never_done = never_done});
  }

  NcclScript script_;
  NcclCalls calls_;
  MPI_Comm comm_ = MPI_COMM_NULL;  // freed by MPI_Finalize
  std::shared_ptr<Stream> stream_ = std::make_shared<Stream>();
  Life life_ = Life::made;
  int rank_ = -1;
  int num_calls_ = 0;
  int polls_until_settled_ = 0;
  std::int64_t needed_to_settle_ = 0;  // operations of the stream
  bool is_settled_ = true;
  bool fails_in_background_ = false;
};

}  // namespace

std::unique_ptr<NcclApi> make_nccl_double(const NcclScript& script, NcclCalls calls) {
  return std::make_unique<NcclDouble>(script, std::move(calls));
}

}  // namespace allreco::dist
