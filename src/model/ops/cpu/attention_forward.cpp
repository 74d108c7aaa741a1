// Tasks of the forward: (spans that begin with the same keys, key-value head, run of their query lanes). Each packs the
// keys that its spans see: those that they share, as the branches of a prompt do, once.
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <limits>

#include "model/ops/checks.h"
#include "model/ops/cpu/attention_tasks.h"
#include "model/ops/cpu/branches.h"

namespace allreco::model::ops::cpu {
namespace {

/// Lanes of a task: enough that packing its keys costs little, few enough to feed many threads from one long sequence.
constexpr std::int64_t kTaskLanes = 20 * kMaxBlockLanes;

/// Lanes [first_lane, first_lane + num_lanes) of the branches' queries, which are those of the spans [first_span,
/// end_span).
struct LaneRun {
  const Branches* branches = nullptr;
  std::int64_t kv_head = 0;
  std::int64_t first_lane = 0;
  std::int64_t num_lanes = 0;
  std::size_t first_span = 0;
  std::size_t end_span = 0;

  std::int64_t first_query() const { return branches->first_queries[first_span]; }
  std::int64_t num_keys() const {
    std::int64_t count = branches->shared.length;
    for (std::size_t s = first_span; s < end_span; ++s) count += branches->num_own_keys(s);
    return count;
  }
  double cost() const { return static_cast<double>(num_lanes) * static_cast<double>(num_keys()); }
};

template <class T>
std::vector<LaneRun> lane_runs(const AttentionCall<T>& call, const std::vector<Branches>& all) {
  std::vector<LaneRun> runs;
  for (const Branches& branches : all) {
    const std::int64_t lanes = branches.num_queries() * call.group();
    for (std::int64_t lane = 0; lane < lanes; lane += kTaskLanes) {
      LaneRun run{&branches, 0, lane, std::min(kTaskLanes, lanes - lane)};
      run.first_span = branches.span_of(lane / call.group());
      run.end_span = branches.span_of((lane + run.num_lanes - 1) / call.group()) + 1;
      for (; run.kv_head < call.kv_heads(); ++run.kv_head) runs.push_back(run);
    }
  }
  return runs;
}

/// What a task reads beside the tensors.
struct TaskKeys {
  std::vector<TaskSpan> spans;
  std::vector<PackedRange> ranges;
  std::int64_t num_keys = 0;

  template <class Pack>
  void add(const KeyRange& range, std::int64_t span, const Pack& pack) {
    if (range.length == 0) return;
    pack(range, num_keys);
    ranges.push_back({num_keys, range.length, range.first_position, range.causal, span});
    num_keys += range.length;
  }
};

/// `packed_v`: behind packed_k, each large enough for the run's keys.
template <class T, class Acc>
void run_lanes(const AttentionCall<T>& call, const LaneRun& run, const AttentionOutput& output, Acc* scratch,
               Acc* packed_k, Acc* packed_v) {
  const Branches& branches = *run.branches;
  const auto pack = [&](const KeyRange& range, std::int64_t at) {
    call.pack(run.kv_head, range.begin, range.length, packed_k, packed_v, at);
  };
  TaskKeys keys;
  keys.add(branches.shared, kAllSpans, pack);
  for (std::size_t s = run.first_span; s < run.end_span; ++s) {
    const AttentionSpan& span = *branches.spans[s];
    for (const KeyRange& range : branches.own_keys(s)) keys.add(range, std::ssize(keys.spans), pack);
    keys.spans.push_back({branches.first_queries[s] - run.first_query(), span.q_begin, span.q_first_position});
  }
  const std::int64_t first_head = run.kv_head * call.group();
  AttentionTask<T> task = call.task(keys.spans, run.kv_head);
  task.first_lane = run.first_lane - run.first_query() * call.group();
  task.num_lanes = run.num_lanes;
  task.out = AttentionCall<T>::template rows<T>(output.out, first_head);
  task.log_sum_exp = AttentionCall<T>::statistics(output.log_sum_exp, first_head);
  task.ranges = keys.ranges.data(), task.num_ranges = std::ssize(keys.ranges);
  task.k = packed_k, task.v = packed_v, task.scratch = scratch;
  kernels<AttentionKernels<T>>().forward(task);
}

template <class T>
AttentionOutput forward(const AttentionCall<T>& call) {
  using Acc = AccumulatorOf<T>;
  AttentionOutput output{at::zeros({call.q.size(0), call.q.size(1), call.head_dim()}, call.q.options()),
                         at::full({call.q.size(0), call.q.size(1)}, -std::numeric_limits<double>::infinity(),
                                  call.q.options().dtype(accumulate_dtype(call.q)))};
  const std::vector<Branches> branches = branches_of(call.spans);
  const std::vector<LaneRun> runs = lane_runs(call, branches);
  std::vector<double> costs;
  std::int64_t most_keys = 0;
  for (const LaneRun& run : runs) {
    costs.push_back(run.cost());
    most_keys = std::max(most_keys, run.num_keys());
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
