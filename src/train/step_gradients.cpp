#include "train/step_gradients.h"

#include <utility>
#include <vector>

#include "core/check.h"

namespace allreco::train {
namespace {

/// The flat gradient's slices in the order in which backward completes them.
std::vector<dist::GradientSlice> slices_in_backward_order(const model::LoraStore& store) {
  std::vector<dist::GradientSlice> slices;
  for (std::int64_t layer = store.num_layers() - 1; layer >= 0; --layer) {
    const auto [begin, end] = store.slice_of_layer(layer);
    slices.push_back({begin, end});
  }
  return slices;
}

}  // namespace

StepGradients::StepGradients(dist::Communicator& communicator, model::LoraStore& store, std::int64_t num_shards,
                             dist::SumOrder order, bool overlap)
    : store_(store),
      shard_sums_(store.gradients(), num_shards),
      reducer_(communicator, store.gradients(), slices_in_backward_order(store), order),
      next_layer_(store.num_layers() - 1) {
  reducer_.set_overlap(overlap);
}

void StepGradients::layer_done(std::int64_t layer) {
  core::require(layer == next_layer_, "backward leaves every layer once, from the highest down");
  // An earlier shard that failed here alone left no sum to add, and no step that would use it.
  if (shard_sums_.is_at_last()) {
    const auto [begin, end] = store_.slice_of_layer(layer);
    shard_sums_.end_last_shard(begin, end);
  }
  --next_layer_;
  try {
    reducer_.layer_done(store_.num_layers() - 1 - layer);
  } catch (...) {
    reducer_failed_ = true;
    throw;
  }
}

void StepGradients::end_last_shard() {
  while (next_layer_ >= 0) layer_done(next_layer_);
  shard_sums_.restart();
  next_layer_ = store_.num_layers() - 1;
}

}  // namespace allreco::train
