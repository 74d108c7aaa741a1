// SwiGLU's kernels (see nf4_kernels.cuh for the form): a block has a row.
#pragma once
#include "model/ops/cuda/row.cuh"
#include "model/ops/cuda/row_launch.h"

namespace allreco::model::ops::cuda {

constexpr unsigned kSwigluThreads = 256;

inline unsigned threads_of(const SwigluArguments& a) { return row_threads(num_packs_of(a.width), kSwigluThreads); }
inline unsigned threads_of(const SwigluBackwardArguments& a) {
  return row_threads(num_packs_of(a.width), kSwigluThreads);
}

template <class T>
ALLRECO_DEVICE void swiglu_write(const ThreadPlace& place, const SwigluArguments& a) {
  const T* const gate = row_of<T>(a.gate, place, a.gate_stride);
  const T* const up = row_of<T>(a.up, place, a.up_stride);
  T* const m = row_of<T>(a.m, place, a.width);
  for_packs(place, a.width, a.aligned, [&](const PackPlace& at) {
    const Floats g = load_pack(gate, at);
    Floats u = load_pack(up, at);
    for (int i = 0; i < kPerThread; ++i) {
      u.x[i] = product(quotient(g.x[i], sum(1.0f, std::exp(-g.x[i]))), u.x[i]);
    }
    store_pack(m, at, u);
  });
}

template <class T>
ALLRECO_DEVICE void swiglu_backward_write(const ThreadPlace& place, const SwigluBackwardArguments& a) {
  const T* const dm = row_of<T>(a.dm, place, a.dm_stride);
  T* const gate = row_of<T>(a.gate, place, a.gate_stride);
  T* const up = row_of<T>(a.up, place, a.up_stride);
  for_packs(place, a.width, a.aligned, [&](const PackPlace& at) {
    const Floats d = load_pack(dm, at);
    Floats g = load_pack(gate, at), u = load_pack(up, at);
    for (int i = 0; i < kPerThread; ++i) {
      const float sigmoid = quotient(1.0f, sum(1.0f, std::exp(-g.x[i])));
      const float silu = product(g.x[i], sigmoid);
      const float slope = sum(sigmoid, product(silu, sum(1.0f, -sigmoid)));
      g.x[i] = product(product(d.x[i], u.x[i]), slope);
      u.x[i] = product(d.x[i], silu);
    }
    store_pack(up, at, u);
    store_pack(gate, at, g);
  });
}

}  // namespace allreco::model::ops::cuda
