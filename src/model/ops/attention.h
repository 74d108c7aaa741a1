// Attention over a packed stream: softmax(q k^T * scale) v, each query over the keys that its span names. Forward and
// backward, GQA, sliding window. Legend: Tq query rows, Tk key rows, H query heads, K key-value heads, E head dim.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "model/ops/backends.h"

namespace allreco::model::ops {

/// A run of key rows that a query span sees.
struct KeyRange {
  std::int64_t begin = 0;  // first key row
  std::int64_t length = 0;
  std::int64_t first_position = 0;  // position of that key in its sequence (for the window)
  bool causal = false;  // true: as long as the span's queries, query i sees keys 0..i of the range; false: every query
                        // sees all of it
};

/// A run of query rows (no row in two spans) with the keys they see: any number of full ranges (the path that a branch
/// continues, a range a segment) and an own causal one.
struct AttentionSpan {
  std::int64_t q_begin = 0;
  std::int64_t q_length = 0;
  std::int64_t q_first_position = 0;
  std::vector<KeyRange> keys;  // not empty; results of several ranges are merged by their log-sum-exp
};

/// Rows that no span names, and queries whose window hides all their keys: out 0, log_sum_exp -inf, gradients 0.
struct AttentionOutput {
  at::Tensor out;          // [Tq, H, E], dtype of q
  at::Tensor log_sum_exp;  // [Tq, H], float32 (float64 for float64 input)
};

/// `window`: key position > query position - window, or none. Softmax in float32 at least. q [Tq, H, E], k and v [Tk,
/// K, E], last dim dense. Flash algorithm (Dao 2022); merging as in docs/numerics.md: o = sum_i o_i exp(lse_i - lse).
AttentionOutput attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                          const std::vector<AttentionSpan>& spans, double scale, std::optional<std::int64_t> window);

struct AttentionGradients {
  at::Tensor dq;  // [Tq, H, E]
  at::Tensor dk;  // [Tk, K, E]; rows that no span sees are zero
  at::Tensor dv;  // [Tk, K, E]
};

AttentionGradients attention_backward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,
                                      const at::Tensor& v, const AttentionOutput& forward,
                                      const std::vector<AttentionSpan>& spans, double scale,
                                      std::optional<std::int64_t> window);

ALLRECO_BOTH_BACKENDS(attention)
ALLRECO_BOTH_BACKENDS(attention_backward)

}  // namespace allreco::model::ops
