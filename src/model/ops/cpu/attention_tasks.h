// What forward and backward share: tasks that write disjoint memory, largest first, taken by the threads one by one.
// What a task computes does not depend on who computes it, so neither does the result.
#pragma once
#include <ATen/ops/empty.h>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <optional>
#include <vector>

#include "model/ops/attention.h"
#include "model/ops/cpu/attention_task.h"
#include "model/ops/cpu/rows.h"

namespace allreco::model::ops::cpu {

/// Runs work(task, scratch) for every task, costliest first, each thread taking the next; `scratch_size` elements of
/// Acc a thread.
template <class Acc, class Work>
void run_tasks(const std::vector<double>& costs, std::int64_t scratch_size, const Work& work) {
  std::vector<std::size_t> order(costs.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return costs[a] > costs[b]; });
  std::atomic<std::size_t> next = 0;
  const std::int64_t workers = std::min<std::int64_t>(at::get_num_threads(), static_cast<std::int64_t>(costs.size()));
  at::parallel_for(0, workers, 1, [&](std::int64_t, std::int64_t) {
    const at::Tensor scratch =
        at::empty({scratch_size}, at::TensorOptions().dtype(c10::CppTypeToScalarType<Acc>::value));  // 64-byte aligned
    for (std::size_t i = next++; i < order.size(); i = next++) {
      work(order[i], scratch.mutable_data_ptr<Acc>());
    }
  });
}

/// The arguments of an attention call, and the pointers into them. Legend: H query heads, K key-value heads, E head
/// dimension.
template <class T>
struct AttentionCall {
  using Acc = AccumulatorOf<T>;
  const at::Tensor& q;  // [Tq, H, E]
  const at::Tensor& k;  // [Tk, K, E]
  const at::Tensor& v;  // [Tk, K, E]
  const std::vector<AttentionSpan>& spans;
  double scale = 1;
  std::optional<std::int64_t> window;

  std::int64_t kv_heads() const { return k.size(1); }
  std::int64_t group() const { return q.size(1) / k.size(1); }
  std::int64_t head_dim() const { return q.size(2); }
  std::int64_t padded() const { return padded_head_dim(head_dim()); }
  std::int64_t scratch_size() const { return attention_scratch_size(head_dim()); }

  template <class U = const T>
  static HeadRows<U> rows(const at::Tensor& tensor, std::int64_t head) {
    auto* const data = elements<std::remove_const_t<U>>(tensor);
    return {data + head * tensor.stride(1), tensor.stride(0), tensor.stride(1)};
  }
  /// Of log_sum_exp [Tq, H].
  static HeadRows<Acc> statistics(const at::Tensor& tensor, std::int64_t head) {
    return {elements<Acc>(tensor) + head, tensor.stride(0), 1};
  }

  /// Of the spans under one key-value head; lanes, ranges, packed tensors and results are the caller's.
  AttentionTask<T> task(const std::vector<TaskSpan>& task_spans, std::int64_t kv_head) const {
    AttentionTask<T> task;
    task.q = rows(q, kv_head * group());
    task.group = group();
    task.head_dim = head_dim();
    task.window = window.value_or(0);
    task.scale = scale;
    task.spans = task_spans.data(), task.num_spans = std::ssize(task_spans);
    return task;
  }

  /// Copies `length` rows of k and v from `begin` on to packed row `at`.
  void pack(std::int64_t kv_head, std::int64_t begin, std::int64_t length, Acc* packed_k, Acc* packed_v,
            std::int64_t at) const {
    const auto& pack_rows = kernels<AttentionKernels<T>>().pack_rows;
    pack_rows(packed_k + at * padded(), rows(k, kv_head).row(begin), length, k.stride(0), head_dim());
    pack_rows(packed_v + at * padded(), rows(v, kv_head).row(begin), length, v.stride(0), head_dim());
  }
};

}  // namespace allreco::model::ops::cpu
