#include "model/ops/attention.h"

#include <algorithm>

#include "core/check.h"
#include "model/ops/checks.h"

namespace allreco::model::ops {
namespace {

void check_ranges(const AttentionSpan& span, std::int64_t num_keys) {
  core::require(!span.keys.empty(), "attention: a span needs at least one key range");
  for (const KeyRange& range : span.keys) {
    core::require(range.begin >= 0 && range.length >= 0 && range.begin + range.length <= num_keys,
                  "attention: a key range leaves the rows of k");
    core::require(!range.causal || range.length == span.q_length,
                  "attention: a causal range must be as long as the span's queries");
  }
}

/// Ranges inside the tensors, and no query row in two spans.
void check_spans(const std::vector<AttentionSpan>& spans, std::int64_t num_queries, std::int64_t num_keys) {
  std::vector<std::pair<std::int64_t, std::int64_t>> rows;
  rows.reserve(spans.size());
  for (const AttentionSpan& span : spans) {
    core::require(span.q_begin >= 0 && span.q_length >= 0 && span.q_begin + span.q_length <= num_queries,
                  "attention: a span leaves the rows of q");
    check_ranges(span, num_keys);
    rows.emplace_back(span.q_begin, span.q_begin + span.q_length);
  }
  std::sort(rows.begin(), rows.end());
  for (std::size_t i = 1; i < rows.size(); ++i) {
    core::require(rows[i].first >= rows[i - 1].second, "attention: a query row lies in two spans");
  }
}

void check_arguments(const char* op, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const std::vector<AttentionSpan>& spans, std::optional<std::int64_t> window) {
  check_floating(op, "q", q);
  check_like(op, "q", q, q, {-1, -1, -1});
  check_like(op, "k", k, q, {-1, -1, q.size(2)});
  check_like(op, "v", v, q, {k.size(0), k.size(1), q.size(2)});
  core::require(k.size(1) > 0 && q.size(1) % k.size(1) == 0,
                "attention: the query heads must be a multiple of the key-value heads");
  core::require(!window || *window > 0, "attention: the window must be positive");
  check_spans(spans, q.size(0), k.size(0));
}

}  // namespace

AttentionOutput attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                          const std::vector<AttentionSpan>& spans, double scale, std::optional<std::int64_t> window) {
  check_arguments("attention", q, k, v, spans, window);
  return q.is_cuda() ? cuda::attention(q, k, v, spans, scale, window) : cpu::attention(q, k, v, spans, scale, window);
}

AttentionGradients attention_backward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,
                                      const at::Tensor& v, const AttentionOutput& forward,
                                      const std::vector<AttentionSpan>& spans, double scale,
                                      std::optional<std::int64_t> window) {
  constexpr const char* kOp = "attention_backward";
  check_arguments(kOp, q, k, v, spans, window);
  check_like(kOp, "dout", dout, q, {q.size(0), q.size(1), q.size(2)});
  check_like(kOp, "out", forward.out, q, {q.size(0), q.size(1), q.size(2)});
  check_dense(kOp, "log_sum_exp", forward.log_sum_exp, accumulate_dtype(q), q, {q.size(0), q.size(1)});
  return q.is_cuda() ? cuda::attention_backward(dout, q, k, v, forward, spans, scale, window)
                     : cpu::attention_backward(dout, q, k, v, forward, spans, scale, window);
}

}  // namespace allreco::model::ops
