// Tasks of the backward: (cluster of spans that share keys, key-value head), for such spans add to the same dk and dv.
// Each packs the keys of its cluster and sums its dk and dv beside them before they are rounded.
#include <ATen/ops/zeros.h>

#include "model/ops/cpu/attention_tasks.h"
#include "model/ops/cpu/branches.h"
#include "model/ops/cpu/key_clusters.h"

namespace allreco::model::ops::cpu {
namespace {

/// Packed [keys of a cluster, padded head dimension] each.
template <class Acc>
struct PackedKeys {
  Acc* k = nullptr;
  Acc* v = nullptr;
  Acc* dk = nullptr;
  Acc* dv = nullptr;

  PackedKeys(Acc* begin, std::int64_t size) : k(begin), v(k + size), dk(v + size), dv(dk + size) {}
};

template <class T>
class Backward {
 public:
  using Call = AttentionCall<T>;
  using Acc = AccumulatorOf<T>;

  Backward(const Call& call, const at::Tensor& dout, const AttentionOutput& forward)
      : call_(call), dout_(dout), forward_(forward), clusters_(key_clusters(call.spans)) {
    for (const KeyCluster& cluster : clusters_) {
      most_keys_ = std::max(most_keys_, cluster.num_keys);
      costs_.insert(costs_.end(), static_cast<std::size_t>(call.kv_heads()), cost_of(cluster));
    }
  }

  AttentionGradients run() {
    const auto zeros = [](const at::Tensor& t) { return at::zeros({t.size(0), t.size(1), t.size(2)}, t.options()); };
    AttentionGradients gradients{zeros(call_.q), zeros(call_.k), zeros(call_.v)};
    const std::int64_t packed_size = most_keys_ * call_.padded();
    const auto kv_heads = static_cast<std::size_t>(call_.kv_heads());
    run_tasks<Acc>(costs_, call_.scratch_size() + 4 * packed_size, [&](std::size_t index, Acc* scratch) {
      const PackedKeys<Acc> packed(scratch + call_.scratch_size(), packed_size);
      const KeyCluster& cluster = clusters_[index / kv_heads];
      const auto kv_head = static_cast<std::int64_t>(index % kv_heads);
      pack(cluster, kv_head, packed);
      for (const std::size_t s : cluster.spans) {
        run_span(cluster, call_.spans[s], kv_head, packed, scratch, gradients);
      }
      unpack(cluster, kv_head, packed, gradients);
    });
    return gradients;
  }

 private:
  double cost_of(const KeyCluster& cluster) const {
    double cost = 0;
    for (const std::size_t s : cluster.spans) {
      cost += static_cast<double>(call_.spans[s].q_length) * static_cast<double>(num_keys(call_.spans[s]));
    }
    return cost;
  }

  void pack(const KeyCluster& cluster, std::int64_t kv_head, const PackedKeys<Acc>& packed) const {
    std::fill_n(packed.dk, cluster.num_keys * call_.padded(), Acc(0));
    std::fill_n(packed.dv, cluster.num_keys * call_.padded(), Acc(0));
    for (const KeyRun& run : cluster.runs) {
      call_.pack(kv_head, run.begin, run.length, packed.k, packed.v, run.packed_begin);
    }
  }

  void run_span(const KeyCluster& cluster, const AttentionSpan& span, std::int64_t kv_head,
                const PackedKeys<Acc>& packed, Acc* scratch, const AttentionGradients& gradients) const {
    const std::int64_t first_head = kv_head * call_.group();
    std::vector<PackedRange> ranges;
    for (const KeyRange& range : span.keys) {
      ranges.push_back({cluster.packed_row(range.begin), range.length, range.first_position, range.causal});
    }
    const std::vector<TaskSpan> spans = {{0, span.q_begin, span.q_first_position}};
    AttentionTask<T> task = call_.task(spans, kv_head);
    task.num_lanes = span.q_length * call_.group();
    task.dout = Call::rows(dout_, first_head);
    task.out_in = Call::rows(forward_.out, first_head);
    task.log_sum_exp = Call::statistics(forward_.log_sum_exp, first_head);
    task.out = Call::template rows<T>(gradients.dq, first_head);
    task.ranges = ranges.data(), task.num_ranges = static_cast<std::int64_t>(ranges.size());
    task.k = packed.k, task.v = packed.v, task.dk = packed.dk, task.dv = packed.dv, task.scratch = scratch;
    kernels<AttentionKernels<T>>().backward(task);
  }

  void unpack(const KeyCluster& cluster, std::int64_t kv_head, const PackedKeys<Acc>& packed,
              const AttentionGradients& gradients) const {
    const auto unpack_rows = kernels<AttentionKernels<T>>().unpack_rows;
    const std::int64_t head_dim = call_.head_dim();
    for (const KeyRun& run : cluster.runs) {
      const std::int64_t at = run.packed_begin * call_.padded();
      const auto dk = Call::template rows<T>(gradients.dk, kv_head);
      const auto dv = Call::template rows<T>(gradients.dv, kv_head);
      // The kernel sums dscore * q; the score is scale * q . k.
      unpack_rows(dk.row(run.begin), packed.dk + at, run.length, dk.row_stride, head_dim,
                  static_cast<Acc>(call_.scale));
      unpack_rows(dv.row(run.begin), packed.dv + at, run.length, dv.row_stride, head_dim, Acc(1));
    }
  }

  const Call& call_;
  const at::Tensor& dout_;
  const AttentionOutput& forward_;
  std::vector<KeyCluster> clusters_;
  std::vector<double> costs_;  // of task (cluster, kv head), kv heads fastest
  std::int64_t most_keys_ = 0;
};

}  // namespace

AttentionGradients attention_backward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,
                                      const at::Tensor& v, const AttentionOutput& forward,
                                      const std::vector<AttentionSpan>& spans, double scale,
                                      std::optional<std::int64_t> window) {
  AttentionGradients gradients;
  dispatch(q, [&](auto type) {
    const AttentionCall<decltype(type)> call{q, k, v, spans, scale, window};
    gradients = Backward<decltype(type)>(call, dout, forward).run();
  });
  return gradients;
}

}  // namespace allreco::model::ops::cpu
