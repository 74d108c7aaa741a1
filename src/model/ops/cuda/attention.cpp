// Attention as calls of a varlen kernel, merged by their log-sum-exp: lse = log sum_i exp(lse_i), o = sum_i o_i
// exp(lse_i - lse). Backward calls the kernel for each part with the merged out and lse; dq is the sum, dk and dv
// belong to the part (docs/numerics.md).
#include "model/ops/attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/full.h>
#include <ATen/ops/logaddexp.h>
#include <ATen/ops/zeros.h>

#include <limits>

#include "model/ops/checks.h"
#include "model/ops/cuda/attention_calls.h"
#include "model/ops/cuda/upload.h"

namespace allreco::model::ops::cuda {
namespace {

/// The rows of a tensor that a call's pieces name, one piece behind another: a slice where they are neighbours.
class Rows {
 public:
  Rows(const AttentionCalls& call, std::int64_t AttentionPiece::*begin, std::int64_t AttentionPiece::*length,
       c10::Device device) {
    first_ = call.pieces.front().*begin;
    for (const AttentionPiece& piece : call.pieces) {
      is_slice_ = is_slice_ && piece.*begin == first_ + count_;
      count_ += piece.*length;
    }
    if (is_slice_) return;
    std::vector<std::int64_t> indices;
    for (const AttentionPiece& piece : call.pieces) {
      for (std::int64_t i = 0; i < piece.*length; ++i) indices.push_back(piece.*begin + i);
    }
    indices_ = upload(indices, device);
  }

  /// Whether they are rows 0 .. n - 1, in that order.
  bool are_all(std::int64_t n) const { return is_slice_ && first_ == 0 && count_ == n; }

  at::Tensor of(const at::Tensor& t) const {
    return is_slice_ ? t.narrow(0, first_, count_) : t.index_select(0, indices_);
  }
  void set(const at::Tensor& t, const at::Tensor& values) const {  // no row twice
    is_slice_ ? t.narrow(0, first_, count_).copy_(values) : t.index_copy_(0, indices_, values.to(t.scalar_type()));
  }
  void add(const at::Tensor& t, const at::Tensor& values) const {
    is_slice_ ? t.narrow(0, first_, count_).add_(values) : t.index_add_(0, indices_, values.to(t.scalar_type()));
  }

 private:
  bool is_slice_ = true;
  std::int64_t first_ = 0, count_ = 0;
  at::Tensor indices_;
};

Rows query_rows(const AttentionCalls& call, c10::Device device) {
  return {call, &AttentionPiece::q_begin, &AttentionPiece::q_length, device};
}
Rows key_rows(const AttentionCalls& call, c10::Device device) {
  return {call, &AttentionPiece::k_begin, &AttentionPiece::k_length, device};
}

/// Adds a part to out and lse (both in the type computed in); a query that sees nothing keeps out 0, lse -inf.
void merge(const Rows& rows, const AttentionOutput& part, AttentionOutput& merged) {
  const at::Tensor before = rows.of(merged.log_sum_exp);
  const at::Tensor lse = at::logaddexp(before, part.log_sum_exp);
  const at::Tensor shift = lse.masked_fill(lse == -std::numeric_limits<double>::infinity(), 0);
  const at::Tensor out = rows.of(merged.out) * at::exp(before - shift).unsqueeze(2) +
                         part.out * at::exp(part.log_sum_exp - shift).unsqueeze(2);
  rows.set(merged.out, out);
  rows.set(merged.log_sum_exp, lse);
}

AttentionOutput nothing_seen(const at::Tensor& q) {
  const auto wide = q.options().dtype(accumulate_dtype(q));
  return {at::zeros({q.size(0), q.size(1), q.size(2)}, wide),
          at::full({q.size(0), q.size(1)}, -std::numeric_limits<double>::infinity(), wide)};
}

AttentionGradients no_gradients(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const auto zeros = [](const at::Tensor& t) {
    return at::zeros({t.size(0), t.size(1), t.size(2)}, t.options().dtype(accumulate_dtype(t)));
  };
  return {zeros(q), zeros(k), zeros(v)};
}

AttentionGradients in_dtype(at::ScalarType dtype, const AttentionGradients& g) {
  return {g.dq.to(dtype), g.dk.to(dtype), g.dv.to(dtype)};
}

}  // namespace

// One call that has all rows is the whole result: packed examples, every step of training but the last block's.

AttentionOutput attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                          const std::vector<AttentionSpan>& spans, double scale, std::optional<std::int64_t> window) {
  const std::vector<AttentionCalls> calls = attention_calls(spans, window);
  AttentionOutput merged;
  for (const AttentionCalls& call : calls) {
    const Rows queries = query_rows(call, q.device()), keys = key_rows(call, q.device());
    const PackedCall packed{queries.of(q), keys.of(k), keys.of(v), call, scale};
    const AttentionOutput part = flash_takes(packed) ? flash_forward(packed) : plain_forward(packed);
    if (calls.size() == 1 && queries.are_all(q.size(0))) {
      return {part.out.to(q.scalar_type()), part.log_sum_exp.contiguous()};
    }
    if (merged.out.defined()) {
      merge(queries, part, merged);
    } else {
      merged = nothing_seen(q);
      queries.set(merged.out, part.out);
      queries.set(merged.log_sum_exp, part.log_sum_exp);
    }
  }
  if (!merged.out.defined()) merged = nothing_seen(q);
  return {merged.out.to(q.scalar_type()), merged.log_sum_exp};
}

AttentionGradients attention_backward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,
                                      const at::Tensor& v, const AttentionOutput& forward,
                                      const std::vector<AttentionSpan>& spans, double scale,
                                      std::optional<std::int64_t> window) {
  const std::vector<AttentionCalls> calls = attention_calls(spans, window);
  AttentionGradients sum;
  for (const AttentionCalls& call : calls) {
    const Rows queries = query_rows(call, q.device()), keys = key_rows(call, q.device());
    const PackedCall packed{queries.of(q), keys.of(k), keys.of(v), call, scale};
    const AttentionOutput merged{queries.of(forward.out), queries.of(forward.log_sum_exp)};
    const at::Tensor dout_rows = queries.of(dout);
    const AttentionGradients part =
        flash_takes(packed) ? flash_backward(packed, dout_rows, merged) : plain_backward(packed, dout_rows, merged);
    if (calls.size() == 1 && queries.are_all(q.size(0)) && keys.are_all(k.size(0))) {
      return in_dtype(q.scalar_type(), part);
    }
    if (!sum.dq.defined()) sum = no_gradients(q, k, v);
    queries.add(sum.dq, part.dq);
    keys.add(sum.dk, part.dk);
    keys.add(sum.dv, part.dv);
  }
  return in_dtype(q.scalar_type(), sum.dq.defined() ? sum : no_gradients(q, k, v));
}

}  // namespace allreco::model::ops::cuda
