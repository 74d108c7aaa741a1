// Tasks of the forward: (span, key-value head, run of query lanes). Each packs the keys of its span.
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <limits>

#include "model/ops/checks.h"
#include "model/ops/cpu/attention_tasks.h"

namespace allreco::model::ops::cpu {
namespace {

/// Lanes of a task: enough that packing its keys costs little, few enough to feed many threads from one long sequence.
constexpr std::int64_t kTaskLanes = 20 * kMaxBlockLanes;

struct LaneRun {
  const AttentionSpan* span = nullptr;
  std::int64_t kv_head = 0;
  std::int64_t first_lane = 0;
  std::int64_t num_lanes = 0;

  double cost() const { return static_cast<double>(num_lanes) * static_cast<double>(num_keys(*span)); }
};

template <class T>
std::vector<LaneRun> lane_runs(const AttentionCall<T>& call) {
  std::vector<LaneRun> runs;
  for (const AttentionSpan& span : call.spans) {
    const std::int64_t lanes = span.q_length * call.group();
    for (std::int64_t head = 0; head < call.kv_heads(); ++head) {
      for (std::int64_t lane = 0; lane < lanes; lane += kTaskLanes) {
        runs.push_back({&span, head, lane, std::min(kTaskLanes, lanes - lane)});
      }
    }
  }
  return runs;
}

/// `packed_v`: behind packed_k, each large enough for the span's keys.
template <class T, class Acc>
void run_lanes(const AttentionCall<T>& call, const LaneRun& run, const AttentionOutput& output, Acc* scratch,
               Acc* packed_k, Acc* packed_v) {
  const AttentionSpan& span = *run.span;
  const std::int64_t first_head = run.kv_head * call.group();
  std::vector<PackedRange> ranges;
  std::int64_t packed = 0;
  for (const KeyRange& range : span.keys) {
    call.pack(run.kv_head, range.begin, range.length, packed_k, packed_v, packed);
    ranges.push_back({packed, range.length, range.first_position, range.causal});
    packed += range.length;
  }
  AttentionTask<T> task = call.task(span, run.kv_head);
  task.first_lane = run.first_lane, task.num_lanes = run.num_lanes;
  task.out = AttentionCall<T>::template rows<T>(output.out, span.q_begin, first_head);
  task.log_sum_exp = AttentionCall<T>::statistics(output.log_sum_exp, span.q_begin, first_head);
  task.ranges = ranges.data(), task.num_ranges = static_cast<std::int64_t>(ranges.size());
  task.k = packed_k, task.v = packed_v, task.scratch = scratch;
  kernels<AttentionKernels<T>>().forward(task);
}

template <class T>
AttentionOutput forward(const AttentionCall<T>& call) {
  using Acc = AccumulatorOf<T>;
  AttentionOutput output{at::zeros({call.q.size(0), call.q.size(1), call.head_dim()}, call.q.options()),
                         at::full({call.q.size(0), call.q.size(1)}, -std::numeric_limits<double>::infinity(),
                                  call.q.options().dtype(accumulate_dtype(call.q)))};
  const std::vector<LaneRun> runs = lane_runs(call);
  std::vector<double> costs;
  std::int64_t most_keys = 0;
  for (const LaneRun& run : runs) {
    costs.push_back(run.cost());
    most_keys = std::max(most_keys, num_keys(*run.span));
  }
  const std::int64_t packed_size = most_keys * call.padded();
  run_tasks<Acc>(costs, call.scratch_size() + 2 * packed_size, [&](std::size_t index, Acc* scratch) {
    Acc* const packed_k = scratch + call.scratch_size();
    run_lanes(call, runs[index], output, scratch, packed_k, packed_k + packed_size);
  });
  return output;
}

}  // namespace

AttentionOutput attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                          const std::vector<AttentionSpan>& spans, double scale, std::optional<std::int64_t> window) {
  AttentionOutput output;
  dispatch(q, [&](auto type) { output = forward(AttentionCall<decltype(type)>{q, k, v, spans, scale, window}); });
  return output;
}

}  // namespace allreco::model::ops::cpu
