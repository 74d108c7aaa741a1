// Cuts attention into tasks that write disjoint memory, largest first, and lets the threads take them one by one. What
// a task computes does not depend on who computes it, so neither does the result. Tasks of forward: (span, key-value
// head, run of query lanes). Tasks of backward: (cluster of spans that share keys, key-value head), for such spans add
// to the same dk and dv.
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <atomic>
#include <limits>
#include <numeric>

#include "model/ops/backends.h"
#include "model/ops/checks.h"
#include "model/ops/cpu/key_clusters.h"
#include "model/ops/cpu/rows.h"

namespace allreco::model::ops::cpu {
namespace {

/// Lanes of a forward task: enough that packing its keys costs little, few enough to feed many threads from one long
/// sequence.
constexpr std::int64_t kTaskLanes = 20 * kMaxBlockLanes;

/// Runs work(task, scratch) for every task, costliest first, each thread taking the next; `scratch_size` elements of
/// Acc a thread.
template <class Acc, class Work>
void run_tasks(const std::vector<double>& costs, std::int64_t scratch_size, at::TensorOptions options,
               const Work& work) {
  const auto num_tasks = static_cast<std::int64_t>(costs.size());
  std::vector<std::size_t> order(costs.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return costs[a] > costs[b]; });
  std::atomic<std::size_t> next = 0;
  at::parallel_for(0, std::min<std::int64_t>(at::get_num_threads(), num_tasks), 1, [&](std::int64_t, std::int64_t) {
    const at::Tensor scratch = at::empty({scratch_size}, options.dtype(c10::CppTypeToScalarType<Acc>()));
    for (std::size_t i = next++; i < order.size(); i = next++) {
      work(order[i], scratch.mutable_data_ptr<Acc>());
    }
  });
}

template <class T>
HeadRows<T> head_rows(const at::Tensor& tensor, std::int64_t row, std::int64_t head) {
  using Element = std::remove_const_t<T>;
  return {elements<Element>(tensor) + row * tensor.stride(0) + head * tensor.stride(1), tensor.stride(0),
          tensor.stride(1)};
}

template <class T>
AttentionTask<T> span_task(const at::Tensor& q, const AttentionSpan& span, std::int64_t first_head, std::int64_t group,
                           double scale, std::optional<std::int64_t> window) {
  AttentionTask<T> task;
  task.q = head_rows<const T>(q, span.q_begin, first_head);
  task.group = group;
  task.head_dim = q.size(2);
  task.num_lanes = span.q_length * group;
  task.q_first_position = span.q_first_position;
  task.window = window.value_or(0);
  task.scale = scale;
  return task;
}

template <class Acc>
HeadRows<Acc> statistic_rows(const at::Tensor& statistic, std::int64_t row, std::int64_t head) {
  return {elements<Acc>(statistic) + row * statistic.stride(0) + head, statistic.stride(0), 1};
}

/// The ranges one after another in packed rows, copied by pack(range, first packed row).
template <class Pack>
std::vector<PackedRange> pack_in_a_row(const std::vector<KeyRange>& keys, const Pack& pack) {
  std::vector<PackedRange> ranges;
  std::int64_t packed = 0;
  for (const KeyRange& range : keys) {
    pack(range, packed);
    ranges.push_back({packed, range.length, range.first_position, range.causal});
    packed += range.length;
  }
  return ranges;
}

std::int64_t num_keys(const AttentionSpan& span) {
  return std::accumulate(span.keys.begin(), span.keys.end(), std::int64_t{0},
                         [](std::int64_t sum, const KeyRange& range) { return sum + range.length; });
}

struct ForwardTask {
  std::size_t span;
  std::int64_t kv_head, first_lane, num_lanes;
};

template <class T>
AttentionOutput forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                        const std::vector<AttentionSpan>& spans, double scale, std::optional<std::int64_t> window) {
  using Acc = AccumulatorOf<T>;
  const std::int64_t heads = q.size(1), kv_heads = k.size(1), head_dim = q.size(2), group = heads / kv_heads;
  const std::int64_t padded = padded_head_dim(head_dim);
  AttentionOutput output{
      at::zeros({q.size(0), heads, head_dim}, q.options()),
      at::full({q.size(0), heads}, -std::numeric_limits<double>::infinity(), q.options().dtype(accumulate_dtype(q)))};
  std::vector<ForwardTask> tasks;
  std::vector<double> costs;
  std::int64_t most_keys = 0;
  for (std::size_t s = 0; s < spans.size(); ++s) {
    const std::int64_t keys = num_keys(spans[s]), lanes = spans[s].q_length * group;
    most_keys = std::max(most_keys, keys);
    for (std::int64_t head = 0; head < kv_heads; ++head) {
      for (std::int64_t lane = 0; lane < lanes; lane += kTaskLanes) {
        tasks.push_back({s, head, lane, std::min(kTaskLanes, lanes - lane)});
        costs.push_back(static_cast<double>(tasks.back().num_lanes) * static_cast<double>(keys));
      }
    }
  }
  const auto& kernels = kernel_table().of<T>();
  const std::int64_t scratch_size = attention_scratch_size(head_dim) + 2 * most_keys * padded;
  run_tasks<Acc>(costs, scratch_size, q.options(), [&](std::size_t index, Acc* scratch) {
    const ForwardTask& part = tasks[index];
    const AttentionSpan& span = spans[part.span];
    AttentionTask<T> task = span_task<T>(q, span, part.kv_head * group, group, scale, window);
    task.first_lane = part.first_lane, task.num_lanes = part.num_lanes;
    task.out = head_rows<T>(output.out, span.q_begin, part.kv_head * group);
    task.log_sum_exp = statistic_rows<Acc>(output.log_sum_exp, span.q_begin, part.kv_head * group);
    task.scratch = scratch;
    Acc* const packed_k = scratch + attention_scratch_size(head_dim);
    Acc* const packed_v = packed_k + most_keys * padded;
    const auto ranges = pack_in_a_row(span.keys, [&](const KeyRange& range, std::int64_t at) {
      const auto k_rows = head_rows<const T>(k, range.begin, part.kv_head);
      const auto v_rows = head_rows<const T>(v, range.begin, part.kv_head);
      kernels.pack_rows(packed_k + at * padded, k_rows.data, range.length, k_rows.row_stride, head_dim);
      kernels.pack_rows(packed_v + at * padded, v_rows.data, range.length, v_rows.row_stride, head_dim);
    });
    task.ranges = ranges.data(), task.num_ranges = static_cast<std::int64_t>(ranges.size());
    task.k = packed_k, task.v = packed_v;
    kernels.attention(task);
  });
  return output;
}

template <class T>
AttentionGradients backward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const AttentionOutput& forward_output, const std::vector<AttentionSpan>& spans,
                            double scale, std::optional<std::int64_t> window) {
  using Acc = AccumulatorOf<T>;
  const std::int64_t heads = q.size(1), kv_heads = k.size(1), head_dim = q.size(2), group = heads / kv_heads;
  const std::int64_t padded = padded_head_dim(head_dim);
  AttentionGradients gradients{at::zeros({q.size(0), heads, head_dim}, q.options()),
                               at::zeros({k.size(0), kv_heads, head_dim}, k.options()),
                               at::zeros({k.size(0), kv_heads, head_dim}, k.options())};
  const std::vector<KeyCluster> clusters = key_clusters(spans);
  std::vector<double> costs;
  std::int64_t most_keys = 0;
  for (const KeyCluster& cluster : clusters) {
    most_keys = std::max(most_keys, cluster.num_keys);
    double cost = 0;
    for (const std::size_t s : cluster.spans) {
      cost += static_cast<double>(spans[s].q_length) * static_cast<double>(num_keys(spans[s]));
    }
    costs.insert(costs.end(), static_cast<std::size_t>(kv_heads), cost);
  }
  const auto& kernels = kernel_table().of<T>();
  const std::int64_t scratch_size = attention_scratch_size(head_dim) + 4 * most_keys * padded;
  run_tasks<Acc>(costs, scratch_size, q.options(), [&](std::size_t index, Acc* scratch) {
    const KeyCluster& cluster = clusters[index / static_cast<std::size_t>(kv_heads)];
    const auto head = static_cast<std::int64_t>(index % static_cast<std::size_t>(kv_heads));
    Acc* const packed_k = scratch + attention_scratch_size(head_dim);
    Acc* const packed_v = packed_k + most_keys * padded;
    Acc* const packed_dk = packed_v + most_keys * padded;
    Acc* const packed_dv = packed_dk + most_keys * padded;
    std::fill_n(packed_dk, cluster.num_keys * padded, Acc(0));
    std::fill_n(packed_dv, cluster.num_keys * padded, Acc(0));
    for (const KeyRun& run : cluster.runs) {
      const auto k_rows = head_rows<const T>(k, run.begin, head);
      const auto v_rows = head_rows<const T>(v, run.begin, head);
      kernels.pack_rows(packed_k + run.packed_begin * padded, k_rows.data, run.length, k_rows.row_stride, head_dim);
      kernels.pack_rows(packed_v + run.packed_begin * padded, v_rows.data, run.length, v_rows.row_stride, head_dim);
    }
    for (const std::size_t s : cluster.spans) {
      const AttentionSpan& span = spans[s];
      AttentionTask<T> task = span_task<T>(q, span, head * group, group, scale, window);
      task.dout = head_rows<const T>(dout, span.q_begin, head * group);
      task.out_in = head_rows<const T>(forward_output.out, span.q_begin, head * group);
      task.out = head_rows<T>(gradients.dq, span.q_begin, head * group);
      task.log_sum_exp = statistic_rows<Acc>(forward_output.log_sum_exp, span.q_begin, head * group);
      std::vector<PackedRange> ranges;
      for (const KeyRange& range : span.keys) {
        ranges.push_back({cluster.packed_row(range.begin), range.length, range.first_position, range.causal});
      }
      task.ranges = ranges.data(), task.num_ranges = static_cast<std::int64_t>(ranges.size());
      task.k = packed_k, task.v = packed_v, task.dk = packed_dk, task.dv = packed_dv, task.scratch = scratch;
      kernels.attention_backward(task);
    }
    for (const KeyRun& run : cluster.runs) {
      const auto dk_rows = head_rows<T>(gradients.dk, run.begin, head);
      const auto dv_rows = head_rows<T>(gradients.dv, run.begin, head);
      kernels.unpack_rows(dk_rows.data, packed_dk + run.packed_begin * padded, run.length, dk_rows.row_stride, head_dim,
                          static_cast<Acc>(scale));
      kernels.unpack_rows(dv_rows.data, packed_dv + run.packed_begin * padded, run.length, dv_rows.row_stride, head_dim,
                          Acc(1));
    }
  });
  return gradients;
}

}  // namespace

AttentionOutput attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                          const std::vector<AttentionSpan>& spans, double scale, std::optional<std::int64_t> window) {
  AttentionOutput output;
  dispatch(q, [&](auto type) { output = forward<decltype(type)>(q, k, v, spans, scale, window); });
  return output;
}

AttentionGradients attention_backward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,
                                      const at::Tensor& v, const AttentionOutput& forward_output,
                                      const std::vector<AttentionSpan>& spans, double scale,
                                      std::optional<std::int64_t> window) {
  AttentionGradients gradients;
  dispatch(
      q, [&](auto type) { gradients = backward<decltype(type)>(dout, q, k, v, forward_output, spans, scale, window); });
  return gradients;
}

}  // namespace allreco::model::ops::cpu
