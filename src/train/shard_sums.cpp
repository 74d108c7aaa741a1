#include "train/shard_sums.h"

#include <ATen/ops/empty_like.h>

#include "core/check.h"

namespace allreco::train {

ShardSums::ShardSums(at::Tensor gradients, std::int64_t num_shards)
    : gradients_(std::move(gradients)), num_shards_(num_shards) {
  core::require(num_shards > 0 && (num_shards & (num_shards - 1)) == 0, "the number of shards is a power of two");
  for (std::int64_t shards = 1; shards < num_shards; shards *= 2) subtrees_.push_back(at::empty_like(gradients_));
}

// A binary counter: each bit of the number of ended shards is a whole subtree that waits.
void ShardSums::end_shard() {
  core::require(!is_at_last(), "the last shard ends slice by slice");
  size_t level = 0;
  for (; (num_ended_ >> level & 1) != 0; ++level) gradients_.add_(subtrees_[level]);
  subtrees_[level].copy_(gradients_);
  gradients_.zero_();
  ++num_ended_;
}

void ShardSums::end_last_shard(std::int64_t begin, std::int64_t end) {
  core::require(is_at_last(), "shards are missing before the last one");
  at::Tensor slice = gradients_.slice(0, begin, end);
  for (const at::Tensor& subtree : subtrees_) slice.add_(subtree.slice(0, begin, end));
}

double tree_sum(std::span<const double> values) {
  std::vector<double> sums(values.begin(), values.end());
  while (sums.size() > 1) {
    const size_t pairs = sums.size() / 2;
    const size_t odd = sums.size() % 2;
    for (size_t i = 0; i < pairs; ++i) sums[i] = sums[2 * i] + sums[2 * i + 1];
    if (odd != 0) sums[pairs] = sums.back();
    sums.resize(pairs + odd);
  }
  return sums.empty() ? 0 : sums[0];
}

}  // namespace allreco::train
