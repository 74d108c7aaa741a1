#include "data/batch_plan.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <queue>
#include <tuple>

#include "core/check.h"

namespace allreco::data {

namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return a / b + (a % b != 0 ? 1 : 0); }

/// Positions of `costs`, the largest cost first, ties by position.
std::vector<size_t> longest_first(const std::vector<double>& costs) {
  std::vector<size_t> positions(costs.size());
  std::iota(positions.begin(), positions.end(), size_t{0});
  std::stable_sort(positions.begin(), positions.end(), [&](size_t a, size_t b) { return costs[a] > costs[b]; });
  return positions;
}

using Load = std::tuple<double, size_t, size_t>;  // cost, number of samples, part: smallest first

}  // namespace

double CostModel::of(std::int64_t length) const {
  const auto n = static_cast<double>(length);
  return per_token * n + per_token_pair * n * n;
}

std::int64_t steps_per_epoch(std::int64_t num_samples, std::int64_t global_batch_size) {
  core::require(num_samples > 0 && global_batch_size > 0, "an epoch has samples, a batch has a size");
  return ceil_div(num_samples, global_batch_size);
}

GlobalBatch next_global_batch(const SampleOrder& order, std::int64_t global_batch_size, std::int64_t samples_consumed) {
  core::require(samples_consumed >= 0 && global_batch_size > 0, "samples count from 0, a batch has a size");
  GlobalBatch batch;
  batch.epoch = samples_consumed / order.num_samples();
  batch.first_position = samples_consumed % order.num_samples();
  const std::int64_t count = std::min(global_batch_size, order.num_samples() - batch.first_position);
  batch.samples.reserve(static_cast<size_t>(count));
  for (std::int64_t i = 0; i < count; ++i)
    batch.samples.push_back(order.sample_at(batch.epoch, batch.first_position + i));
  return batch;
}

std::vector<std::vector<std::int64_t>> deal_by_cost(const std::vector<std::int64_t>& samples,
                                                    const std::function<double(std::int64_t)>& cost_of,
                                                    std::int64_t num_parts) {
  core::require(num_parts > 0, "samples are dealt to at least one part");
  std::vector<double> costs;
  costs.reserve(samples.size());
  for (std::int64_t sample : samples) costs.push_back(cost_of(sample));

  std::vector<size_t> part_of(samples.size());
  std::priority_queue<Load, std::vector<Load>, std::greater<>> least_loaded;
  for (size_t part = 0; part < static_cast<size_t>(num_parts); ++part) least_loaded.emplace(0.0, size_t{0}, part);
  for (size_t position : longest_first(costs)) {
    const auto [cost, count, part] = least_loaded.top();
    least_loaded.pop();
    part_of[position] = part;
    least_loaded.emplace(cost + costs[position], count + 1, part);
  }

  std::vector<std::vector<std::int64_t>> parts(static_cast<size_t>(num_parts));
  for (size_t position = 0; position < samples.size(); ++position)
    parts[part_of[position]].push_back(samples[position]);
  return parts;
}

std::vector<MicroBatches> micro_batches_of_shards(const GlobalBatch& batch,
                                                  const std::function<double(std::int64_t)>& cost_of,
                                                  std::int64_t num_shards, std::int64_t first, std::int64_t count,
                                                  std::int64_t per_device_batch_size) {
  core::require(first >= 0 && count >= 0 && first + count <= num_shards && per_device_batch_size > 0,
                "shards of the batch, a size of micro-batches");
  const auto parts = deal_by_cost(batch.samples, cost_of, num_shards);
  std::vector<MicroBatches> shards;
  for (std::int64_t shard = first; shard < first + count; ++shard) {
    const std::vector<std::int64_t>& own = parts[static_cast<size_t>(shard)];
    MicroBatches& micro_batches = shards.emplace_back();
    if (own.empty()) continue;
    micro_batches = deal_by_cost(own, cost_of, ceil_div(std::ssize(own), per_device_batch_size));
  }
  return shards;
}

}  // namespace allreco::data
