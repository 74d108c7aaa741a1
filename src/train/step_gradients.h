// StepGradients: the gradient of one optimiser step, summed over this rank's shards and over the ranks, layer by layer
// while backward still fills the layers below.
#pragma once
#include <cstdint>
#include <vector>

#include "dist/communicator.h"
#include "dist/gradient_reducer.h"
#include "model/lora/lora.h"
#include "train/shard_sums.h"

namespace allreco::train {

/// Per step, on zero gradients: end_shard() after each shard but the last; layer_done(layer) while backward of the last
/// one's last micro-batch leaves the layers, from the highest down; end_last_shard(); finish(). The store and the
/// communicator must outlive this.
class StepGradients {
 public:
  /// `num_shards`: this rank's.
  StepGradients(dist::Communicator& communicator, model::LoraStore& store, std::int64_t num_shards,
                dist::SumOrder order, bool overlap);

  void end_shard() { shard_sums_.end_shard(); }
  /// Hands the layer's sum over this rank's shards to the reducer. Never blocks.
  void layer_done(std::int64_t layer);
  /// Hands over the layers that backward did not report: the last shard had nothing to compute on this rank, or it
  /// failed here alone while the other ranks wait for this one's part.
  void end_last_shard();
  /// Collective. Blocks until the store's gradients are the sum over all shards of all ranks.
  void finish() { reducer_.finish(); }

  /// Whether the reducer threw: that fails for all, and nobody can take part any more.
  bool reducer_failed() const { return reducer_failed_; }
  /// Milliseconds that finish() took in the last step.
  double exposed_ms() const { return reducer_.exposed_ms(); }
  std::vector<dist::GradientBucket> buckets() const { return reducer_.buckets(); }

 private:
  model::LoraStore& store_;
  ShardSums shard_sums_;
  dist::GradientReducer reducer_;
  std::int64_t next_layer_;  // of this step; -1: all are with the reducer
  bool reducer_failed_ = false;
};

}  // namespace allreco::train
