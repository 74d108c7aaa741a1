// The batch plan: which samples form an optimiser step's global batch, and who computes which of them. Every rank
// computes the same plan alone.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "data/sample_order.h"

namespace allreco::data {

/// The samples of an optimiser step. The last batch of an epoch may be smaller.
struct GlobalBatch {
  std::int64_t epoch = 0;
  std::int64_t first_position = 0;    // within the epoch
  std::vector<std::int64_t> samples;  // indices into the dataset, in order
};
/// The batch that follows when `samples_consumed` (over all epochs) have been seen.
GlobalBatch next_global_batch(const SampleOrder& order, std::int64_t global_batch_size, std::int64_t samples_consumed);

/// ceil(num_samples / global_batch_size)
std::int64_t steps_per_epoch(std::int64_t num_samples, std::int64_t global_batch_size);

/// The time that an example takes, in arbitrary units: linear in its tokens plus attention's quadratic part.
struct CostModel {
  double per_token = 1.0;
  double per_token_pair = 0.0;
  double of(std::int64_t length) const;
};

/// Deals samples to `num_parts` parts so that the largest cost is small: longest first (ties by position), each to the
/// least loaded part (ties by number of samples, then by part), so the result is a pure function of the arguments. No
/// part's cost exceeds the mean by more than one sample's (Graham, 1969). Within a part samples keep the order of
/// `samples`. A part is empty only when there are fewer samples than parts. REQUIRES costs >= 0.
std::vector<std::vector<std::int64_t>> deal_by_cost(const std::vector<std::int64_t>& samples,
                                                    const std::function<double(std::int64_t)>& cost_of,
                                                    std::int64_t num_parts);

using MicroBatches = std::vector<std::vector<std::int64_t>>;

/// The parts of the batch dealt to `num_shards` shards, each cut again by cost into ceil(samples /
/// per_device_batch_size) micro-batches: those of shards [first, first + count). A shard without samples has none.
std::vector<MicroBatches> micro_batches_of_shards(const GlobalBatch& batch,
                                                  const std::function<double(std::int64_t)>& cost_of,
                                                  std::int64_t num_shards, std::int64_t first, std::int64_t count,
                                                  std::int64_t per_device_batch_size);

}  // namespace allreco::data
