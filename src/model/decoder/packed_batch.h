// PackedBatch: a micro-batch as one flat stream of tokens made of segments. No padding exists.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

namespace allreco::model {

/// A run of tokens that attends to itself causally and to its path: the tokens that it continues. Segments form trees
/// of any depth; the path of a branch is the beginning of its parent's path and own tokens.
struct Segment {
  std::int64_t begin = 0;  // key row of its first token: its row in the stream, counted from the batch's first_row
  std::int64_t length = 0;
  std::int64_t parent = -1;        // the segment before it that holds the last token of its path; -1: none
  std::int64_t shared_length = 0;  // length of its path; also the position of the first own token
};

struct PackedBatch {
  at::Tensor tokens;     // int64 [T]
  at::Tensor positions;  // int64 [T]
  std::vector<Segment> segments;
  std::int64_t first_row = 0;  // key rows before the stream's own: those of the segments of earlier batches, in a cache
  at::Tensor logit_rows;       // int64 [N], ascending, unique: rows of the stream that need logits
  at::Tensor prediction_rows;  // int64 [M]: index into logit_rows of each prediction (several of a row where branches
                               // part; else the identity)
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
  PackedBatchBuilder() = default;
  /// Goes on behind `kept`, whose keys and values are in a cache (Decoder::log_probabilities): its segments can be
  /// branched off, but its rows predict nothing any more.
  explicit PackedBatchBuilder(const PackedBatch& kept);

  /// Appends an example alone in its segment; targets are tokens[max(prompt_length, 1) ...]. Returns the segment's
  /// index.
  std::int64_t add_example(std::span<const std::int32_t> tokens, std::int64_t prompt_length,
                           std::uint64_t sample_key = 0);
  /// Appends a segment without targets (a prompt to branch off, or to generate from). `last_row_logits`: its last row
  /// needs logits.
  std::int64_t add_prompt(std::span<const std::int32_t> tokens, bool last_row_logits = false);
  /// Appends a continuation of the first `shared_length` tokens of the parent's path and tokens; all of `tokens` are
  /// targets, the first predicted by the row of the last shared one.
  std::int64_t add_branch(std::int64_t parent, std::int64_t shared_length, std::span<const std::int32_t> tokens);
  /// The same without targets.
  std::int64_t add_path(std::int64_t parent, std::int64_t shared_length, std::span<const std::int32_t> tokens);
  /// Makes `target` a prediction of the segment: what follows the first `length` tokens of its path and tokens, the
  /// last of which must be in this batch.
  void predict(std::int64_t segment, std::int64_t length, std::int32_t target);
  std::int64_t num_tokens() const { return static_cast<std::int64_t>(tokens_.size()); }
  bool empty() const { return tokens_.empty(); }
  PackedBatch build() const;

 private:
  struct Prediction {
    std::int64_t row = 0;
    std::int64_t target = 0;
  };
  std::int64_t append(std::span<const std::int32_t> tokens, std::int64_t first_position);
  /// The segment that holds token `length` - 1 of the segment's path and tokens.
  std::int64_t holder_of(std::int64_t segment, std::int64_t length) const;

  std::int64_t first_row_ = 0;
  std::vector<std::int64_t> tokens_, positions_;
  std::vector<Segment> segments_;
  std::vector<std::vector<Prediction>> predictions_;  // per segment
  std::vector<std::int64_t> extra_rows_;
  std::vector<std::uint64_t> sample_keys_;
};

}  // namespace allreco::model
