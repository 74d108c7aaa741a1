// GradientReducer: sums a flat gradient buffer over the ranks, bucket by bucket, while backward still fills the later buckets.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "dist/communicator.h"

namespace allreco::dist {

/// A slice [begin, end) of the flat buffer that is complete when backward has left `layer`.
struct GradientBucket {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

/// Use, per optimiser step: layer_done(i) for i = 0, 1, ... in the order in which backward completes them (every rank, also one without
/// samples), then finish(). Buckets are issued strictly in this order on every rank.
class GradientReducer {
 public:
  /// `gradients`: flat, contiguous fp32. `slices[i]` is what the i-th layer_done completes; slices are adjacent and cover the buffer. Small neighbours
  /// are joined until a bucket has `min_bucket_bytes`.
  GradientReducer(Communicator& communicator, at::Tensor gradients, std::vector<GradientBucket> slices,
                  std::int64_t min_bucket_bytes = std::int64_t{1} << 20);

  /// Starts every bucket that is now complete and lets those under way advance. With `overlap` off, finish() starts them all.
  void layer_done(std::int64_t index);
  /// Blocks until the whole buffer holds the sum over ranks.
  void finish();

  void set_overlap(bool on) { overlap_ = on; }
  /// Milliseconds that finish() waited in the last step: communication that backward did not hide.
  double exposed_ms() const { return exposed_ms_; }
  std::int64_t num_buckets() const { return static_cast<std::int64_t>(buckets_.size()); }

 private:
  void start_until(std::int64_t num_done);

  Communicator& communicator_;
  at::Tensor gradients_;
  std::vector<GradientBucket> buckets_;
  std::vector<std::int64_t> last_slice_;  // per bucket: the slice that completes it
  std::vector<std::unique_ptr<Work>> under_way_;
  std::int64_t num_started_ = 0;
  std::int64_t num_slices_ = 0;
  bool overlap_ = true;
  double exposed_ms_ = 0;
};

}  // namespace allreco::dist
