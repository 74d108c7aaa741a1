// NcclApi: what the NCCL data plane needs of NCCL and CUDA, and nothing else, so that the plane's logic
// (nccl_communicator.cpp) is built and tested where there is neither. nccl_api_cuda.cpp calls the libraries and is
// linked in builds with CUDA, nccl_stub.cpp in others; the tests have a scripted double. One object is one rank's
// communicator with one stream of its own. Internal to dist, and to its tests.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <string>

namespace allreco::dist {

/// What a non-blocking communicator says about the calls so far.
struct NcclStatus {
  bool settled = true;  // false: the last call is still being taken in, and no other may follow
  std::string error;    // not empty: something failed in the background
};

/// A point in a stream.
class NcclEvent {
 public:
  virtual ~NcclEvent() = default;
  /// Whether the GPU has passed it. Never blocks.
  virtual bool query() = 0;
};

/// Calls do not wait for other ranks: after init, each collective, and finalize, async_status() must be asked until it
/// is settled before the next call. They throw a Fault with NCCL's own message. Whoever gets an error calls abort(),
/// once, and then nothing more. One thread at a time.
class NcclApi {
 public:
  virtual ~NcclApi() = default;

  /// Where tensors must be.
  virtual c10::Device device() const = 0;
  /// What the ranks of one communicator have in common: made on one rank, given to init on all. Bytes, not text.
  virtual std::string unique_id() = 0;
  /// Joins the communicator; settled when all ranks have.
  virtual void init(const std::string& unique_id, int rank, int world_size) = 0;
  virtual NcclStatus async_status() = 0;

  /// The plane's own stream waits for all work that torch's current stream holds now; the event is there.
  virtual std::unique_ptr<NcclEvent> follow_current_stream() = 0;
  /// On the plane's own stream, in place, over all ranks.
  virtual void all_reduce_sum(const at::Tensor& tensor) = 0;
  virtual void broadcast(const at::Tensor& tensor, int root) = 0;
  /// On the plane's own stream: `mine` goes to the partner, whose tensor comes into `theirs`.
  virtual void exchange(int partner, const at::Tensor& mine, const at::Tensor& theirs) = 0;
  /// On the plane's own stream: mine += theirs. No call to NCCL.
  virtual void add(const at::Tensor& mine, const at::Tensor& theirs) = 0;
  /// An event behind all that the plane's own stream holds now.
  virtual std::unique_ptr<NcclEvent> record() = 0;
  /// The tensor's memory is not given away before the plane's own stream is done with what it holds now.
  virtual void keep_alive(const at::Tensor& tensor) = 0;

  /// Ends the communicator without the other ranks and takes its kernels off the GPU. May block when NCCL is stuck.
  virtual void abort() noexcept = 0;
  /// The orderly end: finalize on all ranks, then, when settled, destroy.
  virtual void finalize() = 0;
  virtual void destroy() = 0;
};

struct NcclOptions {
  /// Thread blocks that NCCL's kernels take from the GPU at most: fewer leave more of it to backward, which they run
  /// beside. 0: NCCL's own choice.
  int max_ctas = 0;
};

/// For this rank's CUDA device. UserError in builds without CUDA, and for a device that is not there.
std::unique_ptr<NcclApi> make_nccl_api(int device, const NcclOptions& options);

}  // namespace allreco::dist
