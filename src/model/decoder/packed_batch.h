// PackedBatch: a micro-batch as one flat stream of tokens made of segments. No padding exists.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

namespace allreco::model {

/// A run of tokens that attends to itself causally and, when it branches off a parent, to the parent's first
/// `shared_length` tokens.
struct Segment {
  std::int64_t begin = 0;  // row of its first token in the stream
  std::int64_t length = 0;
  std::int64_t parent = -1;        // index of a segment before it that is itself no branch; -1: none
  std::int64_t shared_length = 0;  // also the position of the first own token
};

struct PackedBatch {
  at::Tensor tokens;     // int64 [T]
  at::Tensor positions;  // int64 [T]
  std::vector<Segment> segments;
  at::Tensor logit_rows;       // int64 [N], ascending, unique: rows of the stream that need logits
  at::Tensor prediction_rows;  // int64 [M]: index into logit_rows of each prediction (identity in training: M = N)
  at::Tensor targets;          // int64 [M]: the token to predict
  std::vector<std::int64_t> prediction_offsets;  // predictions of segment s are [offsets[s], offsets[s+1])
  std::vector<std::uint64_t> sample_keys;        // per segment: identifies the sample for dropout
  std::int64_t num_tokens() const { return tokens.size(0); }
  std::int64_t num_predictions() const { return targets.size(0); }
  /// A copy in page-locked memory, from which the copy to a GPU runs beside other work. REQUIRES a GPU.
  PackedBatch pinned() const;
};

class PackedBatchBuilder {
 public:
  /// Appends an example alone in its segment; targets are tokens[max(prompt_length, 1) ...]. Returns the segment's
  /// index.
  std::int64_t add_example(std::span<const std::int32_t> tokens, std::int64_t prompt_length,
                           std::uint64_t sample_key = 0);
  /// Appends a segment without targets (a prompt to branch off, or to generate from). `last_row_logits`: its last row
  /// needs logits.
  std::int64_t add_prompt(std::span<const std::int32_t> tokens, bool last_row_logits = false);
  /// Appends a continuation of parent's first `shared_length` tokens; all of `tokens` are targets, the first predicted
  /// by the parent's row shared_length - 1.
  std::int64_t add_branch(std::int64_t parent, std::int64_t shared_length, std::span<const std::int32_t> tokens);
  std::int64_t num_tokens() const { return static_cast<std::int64_t>(tokens_.size()); }
  bool empty() const { return tokens_.empty(); }
  PackedBatch build() const;

 private:
  struct Prediction {
    std::int64_t row = 0;
    std::int64_t target = 0;
  };
  std::int64_t append(std::span<const std::int32_t> tokens, std::int64_t first_position);

  std::vector<std::int64_t> tokens_, positions_;
  std::vector<Segment> segments_;
  std::vector<std::vector<Prediction>> predictions_;  // per segment
  std::vector<std::int64_t> extra_rows_;
  std::vector<std::uint64_t> sample_keys_;
};

}  // namespace allreco::model
