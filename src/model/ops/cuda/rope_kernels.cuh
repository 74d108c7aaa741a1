// The rotary embedding's kernel (see nf4_kernels.cuh for the form): a block has a token, whose threads take packs of
// pairs of all its heads in turn.
#pragma once
#include "model/ops/cuda/row.cuh"
#include "model/ops/cuda/row_launch.h"

namespace allreco::model::ops::cuda {

constexpr unsigned kRopeThreads = 256;

inline unsigned threads_of(const RopeArguments& a) {
  return row_threads(a.num_heads * num_packs_of(a.half), kRopeThreads);
}

template <class T>
ALLRECO_DEVICE void rope_rotate(const ThreadPlace& place, const RopeArguments& a) {
  const std::int64_t position = a.positions[place.block];
  check_index(position, a.num_positions);
  const float* const cos = a.cos + position * a.half;
  const float* const sin = a.sin + position * a.half;
  T* const row = row_of<T>(a.x, place, a.row_stride);
  const std::int64_t packs_per_head = num_packs_of(a.half);
  for (std::int64_t i = place.thread; i < a.num_heads * packs_per_head; i += place.num_threads) {
    const std::int64_t head = i / packs_per_head;
    const PackPlace at = pack_at((i - head * packs_per_head) * kPerThread, a.half, a.aligned);
    T* const first = row + head * a.head_stride;
    T* const second = first + a.half;
    const Floats x1 = load_pack(first, at), x2 = load_pack(second, at), c = load_pack(cos, at), s = load_pack(sin, at);
    Floats y1, y2;
    for (int j = 0; j < kPerThread; ++j) {
      const float signed_sin = a.inverse ? -s.x[j] : s.x[j];
      y1.x[j] = sum(product(x1.x[j], c.x[j]), -product(x2.x[j], signed_sin));
      y2.x[j] = sum(product(x2.x[j], c.x[j]), product(x1.x[j], signed_sin));
    }
    store_pack(first, at, y1);
    store_pack(second, at, y2);
  }
}

}  // namespace allreco::model::ops::cuda
