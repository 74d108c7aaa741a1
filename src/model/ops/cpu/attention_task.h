// What the attention kernels are given: packed keys, and the queries that see them.
#pragma once
#include <cstdint>

#include "model/ops/cpu/kernels.h"

namespace allreco::model::ops::cpu {

/// Query lanes of an attention block, and keys of a tile: the tile of scores (12 KiB in float32) stays in the
/// first-level cache.
inline constexpr std::int64_t kMaxBlockLanes = 48;
inline constexpr std::int64_t kKeyTile = 64;

/// Packed rows of keys and values are padded with zeros to a multiple of 8 elements.
constexpr std::int64_t padded_head_dim(std::int64_t head_dim) { return (head_dim + 7) / 8 * 8; }

/// Scratch elements that an attention kernel needs.
constexpr std::int64_t attention_scratch_size(std::int64_t head_dim) {
  return kMaxBlockLanes * (6 * padded_head_dim(head_dim) + 2 * kKeyTile + 8);
}

/// A run of queries that follow each other in the tensor and see the same ranges.
struct TaskSpan {
  std::int64_t first_query = 0;  // among the task's queries
  std::int64_t first_row = 0;    // of the tensors
  std::int64_t first_position = 0;
};

inline constexpr std::int64_t kAllSpans = -1;

/// A key range inside the packed keys, and the span of the task whose queries see it.
struct PackedRange {
  std::int64_t packed_begin = 0;
  std::int64_t length = 0;
  std::int64_t first_position = 0;
  bool causal = false;
  std::int64_t span = kAllSpans;
};

/// Rows of a tensor [rows, heads, head_dim] with a dense last dimension; `data` points at the first row, and the first
/// head that counts.
template <class T>
struct HeadRows {
  T* data = nullptr;
  std::int64_t row_stride = 0;
  std::int64_t head_stride = 0;

  T* row(std::int64_t index) const { return data + index * row_stride; }
};

/// The queries of some spans that share one key-value head. Lane l is query l / group of the task, head l % group of
/// the group.
template <class T>
struct AttentionTask {
  using Acc = AccumulatorOf<T>;
  HeadRows<const T> q, dout, out_in;  // dout and out_in: backward only
  HeadRows<T> out;                    // the result: out in forward, dq in backward
  HeadRows<Acc> log_sum_exp;          // head_dim 1; written in forward, read in backward
  std::int64_t group = 1;
  std::int64_t head_dim = 0;
  std::int64_t first_lane = 0;
  std::int64_t num_lanes = 0;
  std::int64_t window = 0;  // 0: none
  double scale = 1;
  const TaskSpan* spans = nullptr;  // ascending, the first at query 0
  std::int64_t num_spans = 0;
  const PackedRange* ranges = nullptr;
  std::int64_t num_ranges = 0;
  const Acc* k = nullptr;  // packed [keys, padded_head_dim]
  const Acc* v = nullptr;
  Acc* dk = nullptr;  // added to; backward only
  Acc* dv = nullptr;
  Acc* scratch = nullptr;  // attention_scratch_size elements, 64-byte aligned
};

template <class T>
struct AttentionKernels {
  using Acc = AccumulatorOf<T>;
  /// Rows of a head to packed rows, and back.
  void (*pack_rows)(Acc* packed, const T* rows, std::int64_t num_rows, std::int64_t row_stride, std::int64_t head_dim);
  void (*unpack_rows)(T* rows, const Acc* packed, std::int64_t num_rows, std::int64_t row_stride, std::int64_t head_dim,
                      Acc scale);
  void (*forward)(const AttentionTask<T>& task);
  void (*backward)(const AttentionTask<T>& task);
};

}  // namespace allreco::model::ops::cpu
