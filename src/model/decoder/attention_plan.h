// From the segments of a packed stream to the attention spans of its query rows.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "model/decoder/packed_batch.h"
#include "model/ops/attention.h"

namespace allreco::model {

/// Spans for the query rows `rows` (ascending stream rows); the i-th row is query i. Keys are the rows of the cache, if
/// the batch goes on behind another, and the whole stream.
std::vector<ops::AttentionSpan> attention_spans(const PackedBatch& batch, const std::vector<std::int64_t>& rows);

/// Spans where every row of the stream is a query.
std::vector<ops::AttentionSpan> attention_spans(const PackedBatch& batch);

}  // namespace allreco::model
