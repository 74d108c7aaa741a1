#include "model/decoder/packed_batch.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <numeric>

#include "core/check.h"

namespace allreco::model {

namespace {

at::Tensor to_tensor(const std::vector<std::int64_t>& values) {
  at::Tensor tensor = at::empty({static_cast<std::int64_t>(values.size())}, at::kLong);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<std::int64_t>());
  return tensor;
}

}  // namespace

PackedBatch PackedBatch::pinned() const {
  PackedBatch batch = *this;
  for (at::Tensor* tensor :
       {&batch.tokens, &batch.positions, &batch.logit_rows, &batch.prediction_rows, &batch.targets}) {
    *tensor = tensor->pin_memory();
  }
  return batch;
}

PackedBatchBuilder::PackedBatchBuilder(const PackedBatch& kept)
    : first_row_(kept.first_row + kept.num_tokens()),
      segments_(kept.segments),
      predictions_(kept.segments.size()),
      sample_keys_(kept.sample_keys) {}

std::int64_t PackedBatchBuilder::append(std::span<const std::int32_t> tokens, std::int64_t first_position) {
  core::require(!tokens.empty(), "a segment needs at least one token");
  Segment segment;
  segment.begin = first_row_ + num_tokens();
  segment.length = static_cast<std::int64_t>(tokens.size());
  for (const std::int32_t token : tokens) {
    positions_.push_back(first_position++);
    tokens_.push_back(token);
  }
  segments_.push_back(segment);
  predictions_.emplace_back();
  sample_keys_.push_back(0);
  return static_cast<std::int64_t>(segments_.size()) - 1;
}

std::int64_t PackedBatchBuilder::add_example(std::span<const std::int32_t> tokens, std::int64_t prompt_length,
                                             std::uint64_t sample_key) {
  const auto length = static_cast<std::int64_t>(tokens.size());
  core::require(prompt_length >= 0 && prompt_length <= length, "a prompt cannot be longer than its example");
  const std::int64_t index = append(tokens, 0);
  for (std::int64_t i = std::max<std::int64_t>(prompt_length, 1); i < length; ++i)
    predict(index, i, tokens[static_cast<size_t>(i)]);
  sample_keys_.back() = sample_key;
  return index;
}

std::int64_t PackedBatchBuilder::add_prompt(std::span<const std::int32_t> tokens, bool last_row_logits) {
  const std::int64_t index = append(tokens, 0);
  if (last_row_logits) extra_rows_.push_back(num_tokens() - 1);
  return index;
}

std::int64_t PackedBatchBuilder::holder_of(std::int64_t segment, std::int64_t length) const {
  core::require(segment >= 0 && segment < std::ssize(segments_), "there is no such segment to branch off");
  const auto at = [&](std::int64_t s) -> const Segment& { return segments_[static_cast<size_t>(s)]; };
  core::require(length >= 1 && length <= at(segment).shared_length + at(segment).length,
                "a branch shares 1 to all of the tokens that its parent stands for");
  while (length <= at(segment).shared_length) segment = at(segment).parent;
  return segment;
}

std::int64_t PackedBatchBuilder::add_path(std::int64_t parent, std::int64_t shared_length,
                                          std::span<const std::int32_t> tokens) {
  const std::int64_t holder = holder_of(parent, shared_length);
  const std::int64_t index = append(tokens, shared_length);
  segments_.back().parent = holder;
  segments_.back().shared_length = shared_length;
  sample_keys_.back() = sample_keys_[static_cast<size_t>(holder)];
  return index;
}

void PackedBatchBuilder::predict(std::int64_t segment, std::int64_t length, std::int32_t target) {
  const Segment& holder = segments_[static_cast<size_t>(holder_of(segment, length))];
  const std::int64_t row = holder.begin + length - 1 - holder.shared_length - first_row_;
  core::require(row >= 0, "a row of an earlier batch predicts nothing any more");
  predictions_[static_cast<size_t>(segment)].push_back({row, target});
}

std::int64_t PackedBatchBuilder::add_branch(std::int64_t parent, std::int64_t shared_length,
                                            std::span<const std::int32_t> tokens) {
  const std::int64_t index = add_path(parent, shared_length, tokens);
  for (const std::int32_t token : tokens) predict(index, shared_length++, token);
  return index;
}

PackedBatch PackedBatchBuilder::build() const {
  core::require(!empty(), "a batch needs at least one segment");
  PackedBatch batch;
  std::vector<std::int64_t> rows = extra_rows_, targets, indices;
  batch.prediction_offsets.push_back(0);
  for (const auto& segment : predictions_) {
    for (const Prediction& prediction : segment) {
      rows.push_back(prediction.row);
      targets.push_back(prediction.target);
    }
    batch.prediction_offsets.push_back(static_cast<std::int64_t>(targets.size()));
  }
  std::sort(rows.begin(), rows.end());
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  for (const auto& segment : predictions_) {
    for (const Prediction& prediction : segment) {
      indices.push_back(std::lower_bound(rows.begin(), rows.end(), prediction.row) - rows.begin());
    }
  }
  batch.tokens = to_tensor(tokens_);
  batch.positions = to_tensor(positions_);
  batch.segments = segments_;
  batch.first_row = first_row_;
  batch.logit_rows = to_tensor(rows);
  batch.prediction_rows = to_tensor(indices);
  batch.targets = to_tensor(targets);
  batch.sample_keys = sample_keys_;
  return batch;
}

}  // namespace allreco::model
