// ShardSums: the gradients of a rank's virtual shards, summed in a fixed binary tree. Together with a tree over the
// ranks (SumOrder::tree) the bits of a step depend on the shards alone, not on how many ranks share them.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

namespace allreco::train {

/// Per step: fill `gradients` (zero at first) with one shard's gradient, call end_shard(), and so on; after the last
/// one call end_last_shard for slices that cover the buffer, each as soon as backward has completed it. The buffer then
/// holds the sum. Costs log2(num_shards) more buffers of the gradients' size.
class ShardSums {
 public:
  /// `gradients`: flat. REQUIRES num_shards to be a power of two.
  ShardSums(at::Tensor gradients, std::int64_t num_shards);

  /// Keeps the shard's gradient and sets the buffer to zero. REQUIRES that it is not the last one.
  void end_shard();
  /// Whether only the last shard is left.
  bool is_at_last() const { return num_ended_ + 1 == num_shards_; }
  /// Adds what the shards before have left to [begin, end) of the last one's gradient.
  void end_last_shard(std::int64_t begin, std::int64_t end);
  /// Ready for the next step. Call it when end_last_shard has been called for all slices.
  void restart() { num_ended_ = 0; }

 private:
  at::Tensor gradients_;
  std::vector<at::Tensor> subtrees_;  // [k]: the sum of 2^k shards that waits for its right-hand neighbour
  std::int64_t num_shards_;
  std::int64_t num_ended_ = 0;
};

/// ((v0 + v1) + (v2 + v3)) + ...: neighbours, then pairs of neighbours. An odd one waits for the next level.
double tree_sum(std::span<const double> values);

}  // namespace allreco::train
