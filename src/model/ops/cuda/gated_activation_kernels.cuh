// The gated activations' kernels (see nf4_kernels.cuh for the form): a block has a row.
#pragma once
#include "model/ops/cuda/row.cuh"
#include "model/ops/cuda/row_launch.h"

namespace allreco::model::ops::cuda {

constexpr unsigned kActivationThreads = 256;

inline unsigned threads_of(const GatedActivationArguments& a) {
  return row_threads(num_packs_of(a.width), kActivationThreads);
}
inline unsigned threads_of(const GatedActivationBackwardArguments& a) {
  return row_threads(num_packs_of(a.width), kActivationThreads);
}

struct ActivationAndSlope {
  float value, slope;
};

ALLRECO_DEVICE float silu_value(float x) { return quotient(x, sum(1.0f, std::exp(-x))); }

ALLRECO_DEVICE ActivationAndSlope silu_with_slope(float x) {
  const float sigmoid = quotient(1.0f, sum(1.0f, std::exp(-x)));
  const float silu = product(x, sigmoid);
  return {silu, sum(sigmoid, product(silu, sum(1.0f, -sigmoid)))};
}

constexpr float kTwiceRoot = 1.5957691216057308f, kCubic = 0.044715f;  // 2 sqrt(2 / pi)

/// gelu_tanh is x sigmoid(this).
ALLRECO_DEVICE float twice_inner(float x) {
  return product(kTwiceRoot, sum(x, product(kCubic, product(product(x, x), x))));
}

ALLRECO_DEVICE float gelu_tanh_value(float x) { return quotient(x, sum(1.0f, std::exp(-twice_inner(x)))); }

/// sigmoid and 1 - sigmoid from e^-|u|, so that neither loses digits to the other.
ALLRECO_DEVICE ActivationAndSlope gelu_tanh_with_slope(float x) {
  const float u = twice_inner(x), e = std::exp(u > 0.0f ? -u : u);
  const float larger = quotient(1.0f, sum(1.0f, e)), smaller = product(e, larger);
  const float sigmoid = u > 0.0f ? larger : smaller, rest = u > 0.0f ? smaller : larger;
  // Far out one of the two is 0, which the square must not make a NaN by its infinity.
  const float square = product(x, x) > 1024.0f ? 1024.0f : product(x, x);
  const float du = product(kTwiceRoot, sum(1.0f, product(3.0f * kCubic, square)));
  const float value = product(x, sigmoid);
  return {value, sum(sigmoid, product(product(value, rest), du))};
}

ALLRECO_DEVICE float activation_value(RowActivation activation, float x) {
  return activation == RowActivation::silu ? silu_value(x) : gelu_tanh_value(x);
}
ALLRECO_DEVICE ActivationAndSlope activation_with_slope(RowActivation activation, float x) {
  return activation == RowActivation::silu ? silu_with_slope(x) : gelu_tanh_with_slope(x);
}

template <class T>
ALLRECO_DEVICE void gated_activation_write(const ThreadPlace& place, const GatedActivationArguments& a) {
  const T* const gate = row_of<T>(a.gate, place, a.gate_stride);
  const T* const up = row_of<T>(a.up, place, a.up_stride);
  T* const m = row_of<T>(a.m, place, a.width);
  for_packs(place, a.width, a.aligned, [&](const PackPlace& at) {
    const Floats g = load_pack(gate, at);
    Floats u = load_pack(up, at);
    for (int i = 0; i < kPerThread; ++i) {
      u.x[i] = product(activation_value(a.activation, g.x[i]), u.x[i]);
    }
    store_pack(m, at, u);
  });
}

template <class T>
ALLRECO_DEVICE void gated_activation_backward_write(const ThreadPlace& place,
                                                    const GatedActivationBackwardArguments& a) {
  const T* const dm = row_of<T>(a.dm, place, a.dm_stride);
  T* const gate = row_of<T>(a.gate, place, a.gate_stride);
  T* const up = row_of<T>(a.up, place, a.up_stride);
  for_packs(place, a.width, a.aligned, [&](const PackPlace& at) {
    const Floats d = load_pack(dm, at);
    Floats g = load_pack(gate, at), u = load_pack(up, at);
    for (int i = 0; i < kPerThread; ++i) {
      const ActivationAndSlope f = activation_with_slope(a.activation, g.x[i]);
      g.x[i] = product(product(d.x[i], u.x[i]), f.slope);
      u.x[i] = product(d.x[i], f.value);
    }
    store_pack(up, at, u);
    store_pack(gate, at, g);
  });
}

}  // namespace allreco::model::ops::cuda
