// GradientReducer: sums a flat gradient buffer over the ranks, bucket by bucket, while backward still fills the later
// buckets.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "dist/communicator.h"

namespace allreco::dist {

/// A slice [begin, end) of the flat buffer that is complete when backward has left one layer. May be empty.
struct GradientSlice {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

/// A part of the buffer that is summed at once, as soon as `num_slices` slices are complete.
struct GradientBucket {
  std::int64_t bytes = 0;
  std::int64_t num_slices = 0;
};

/// How the sum over the ranks is made: fastest, or in a fixed tree (Communicator::start_tree_sum).
enum class SumOrder { fastest, tree };

/// Collective. Sums and broadcasts of a few sizes, so that the transport makes its connections now, and not inside the
/// first backward or beside a loaded model: NCCL makes those of each algorithm and each partner when it first needs
/// them. `device`: the plane's. What it takes is freed again.
void warm_up(Communicator& communicator, at::Device device, SumOrder order);

/// Use, per optimiser step: in the last micro-batch layer_done(i) for i = 0, 1, ... in the order in which backward
/// completes them, then finish(). A rank without samples may call finish() alone: it starts what is left. Buckets and
/// their order are the same on every rank and do not depend on overlap, so neither do the bits of the result. The
/// communicator and the buffer must outlive the reducer's use.
class GradientReducer {
 public:
  /// `gradients`: flat, contiguous, float32 or float64; summed in place. `slices[i]` is what the i-th layer_done
  /// completes; slices are adjacent and cover the buffer. Neighbours are joined until a bucket has `min_bucket_bytes`;
  /// the last bucket may be smaller.
  GradientReducer(Communicator& communicator, at::Tensor gradients, std::vector<GradientSlice> slices,
                  SumOrder order = SumOrder::fastest, std::int64_t min_bucket_bytes = std::int64_t{1} << 20);

  /// Starts every bucket that is now complete and lets those under way advance. With `overlap` off, finish() starts
  /// them all. Never blocks.
  void layer_done(std::int64_t index);
  /// Blocks until the whole buffer holds the sum over ranks.
  void finish();

  void set_overlap(bool on) { overlap_ = on; }
  /// Milliseconds that finish() took in the last step: communication that backward did not hide.
  double exposed_ms() const { return exposed_ms_; }
  std::int64_t num_buckets() const { return static_cast<std::int64_t>(buckets_.size()); }
  /// In the order in which they start.
  std::vector<GradientBucket> buckets() const;

 private:
  struct Bucket {
    at::Tensor view;              // of the flat buffer
    std::int64_t last_slice = 0;  // the slice that completes it
  };
  void start_completed(std::int64_t num_slices_done);

  Communicator& communicator_;
  std::vector<Bucket> buckets_;
  std::vector<std::unique_ptr<Work>> under_way_;  // of buckets 0 ... under_way_.size() - 1
  SumOrder order_;
  std::int64_t num_slices_ = 0;
  std::int64_t num_done_ = 0;
  bool overlap_ = true;
  double exposed_ms_ = 0;
};

}  // namespace allreco::dist
