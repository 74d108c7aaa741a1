// RMSNorm's kernels (see nf4_kernels.cuh for the form): a block has a row, its sum lies between two barriers. They
// round where the CPU kernels round.
#pragma once
#include "model/ops/cuda/row.cuh"
#include "model/ops/cuda/row_launch.h"

namespace allreco::model::ops::cuda {

constexpr unsigned kNormThreads = 256;
using NormShared = SumShared<kNormThreads>;

inline unsigned threads_of(const RmsNormArguments& a) { return row_threads(num_packs_of(a.width), kNormThreads); }
inline unsigned threads_of(const RmsNormBackwardArguments& a) {
  return row_threads(num_packs_of(a.width), kNormThreads);
}

ALLRECO_DEVICE float square_root(float x) {
#ifdef __CUDA_ARCH__
  return __fsqrt_rn(x);
#else
  return std::sqrt(x);
#endif
}

/// x += delta where there is a delta, and each thread's part of the sum of squares.
template <class T>
ALLRECO_DEVICE void norm_square(const ThreadPlace& place, const RmsNormArguments& a, NormShared& shared) {
  T* const x = row_of<T>(a.x, place, a.x_stride);
  const T* const delta = row_of<T>(a.delta, place, a.delta_stride);
  float squares = 0;
  for_packs(place, a.width, a.aligned, [&](const PackPlace& at) {
    Floats values = load_pack(x, at);
    if (a.delta != nullptr) {
      const Floats more = load_pack(delta, at);
      for (int i = 0; i < kPerThread; ++i) {
        values.x[i] = to_float(rounded_to<T>(sum(values.x[i], more.x[i])));
      }
      store_pack(x, at, values);
    }
    for (int i = 0; i < kPerThread; ++i) {
      squares = sum(squares, product(values.x[i], values.x[i]));
    }
  });
  shared.parts[place.thread] = squares;
}

/// What a normalised value is multiplied by.
ALLRECO_DEVICE float norm_factor(float weight, bool plus_one) { return plus_one ? sum(1.0f, weight) : weight; }

/// y = x * rstd, rounded, * weight; or * (1 + weight), rounded once.
template <class T>
ALLRECO_DEVICE void norm_scale(const ThreadPlace& place, const RmsNormArguments& a, float rstd) {
  const T* const x = row_of<T>(a.x, place, a.x_stride);
  const T* const weight = static_cast<const T*>(a.weight);
  T* const y = row_of<T>(a.y, place, a.width);
  for_packs(place, a.width, a.aligned, [&](const PackPlace& at) {
    Floats values = load_pack(x, at);
    const Floats w = load_pack(weight, at);
    for (int i = 0; i < kPerThread; ++i) {
      const float normalised = product(values.x[i], rstd);
      values.x[i] =
          product(a.plus_one ? normalised : to_float(rounded_to<T>(normalised)), norm_factor(w.x[i], a.plus_one));
    }
    store_pack(y, at, values);
  });
}

template <class T>
ALLRECO_DEVICE void norm_write(const ThreadPlace& place, const RmsNormArguments& a, const NormShared& shared) {
  const float mean = quotient(total_of(shared), static_cast<float>(a.width));
  const float rstd = quotient(1.0f, square_root(sum(mean, a.eps)));
  if (place.thread == 0) {
    a.rstd[place.block] = rstd;
  }
  norm_scale<T>(place, a, rstd);
}

template <class T>
ALLRECO_DEVICE void norm_recompute(const ThreadPlace& place, const RmsNormArguments& a) {
  norm_scale<T>(place, a, a.rstd[place.block]);
}

/// Each thread's part of sum(w * dy * x).
template <class T>
ALLRECO_DEVICE void norm_backward_sum(const ThreadPlace& place, const RmsNormBackwardArguments& a, NormShared& shared) {
  const T* const dy = row_of<T>(a.dy, place, a.dy_stride);
  const T* const x = row_of<T>(a.x, place, a.x_stride);
  const T* const weight = static_cast<const T*>(a.weight);
  float products = 0;
  for_packs(place, a.width, a.aligned, [&](const PackPlace& at) {
    const Floats d = load_pack(dy, at), values = load_pack(x, at), w = load_pack(weight, at);
    for (int i = 0; i < kPerThread; ++i) {
      products = sum(products, product(product(norm_factor(w.x[i], a.plus_one), d.x[i]), values.x[i]));
    }
  });
  shared.parts[place.thread] = products;
}

/// dx += rstd * (w * dy - x * rstd^2 * mean(w * dy * x)).
template <class T>
ALLRECO_DEVICE void norm_backward_write(const ThreadPlace& place, const RmsNormBackwardArguments& a,
                                        const NormShared& shared) {
  const T* const dy = row_of<T>(a.dy, place, a.dy_stride);
  const T* const x = row_of<T>(a.x, place, a.x_stride);
  const T* const weight = static_cast<const T*>(a.weight);
  T* const dx = row_of<T>(a.dx, place, a.dx_stride);
  const float rstd = a.rstd[place.block];
  const float mean = quotient(total_of(shared), static_cast<float>(a.width));
  const float along_x = product(product(mean, rstd), rstd);
  for_packs(place, a.width, a.aligned, [&](const PackPlace& at) {
    const Floats d = load_pack(dy, at), values = load_pack(x, at), w = load_pack(weight, at);
    Floats gradient = load_pack(dx, at);
    for (int i = 0; i < kPerThread; ++i) {
      const float scaled = product(norm_factor(w.x[i], a.plus_one), d.x[i]);
      const float across = sum(scaled, -product(values.x[i], along_x));
      gradient.x[i] = sum(gradient.x[i], product(rstd, across));
    }
    store_pack(dx, at, gradient);
  });
}

}  // namespace allreco::model::ops::cuda
