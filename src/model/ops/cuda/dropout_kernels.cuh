// Dropout's kernel (see nf4_kernels.cuh for the form): a block has a row. The masks are those of core/random.cpp and
// cpu/dropout_kernels.inc.
#pragma once
#include "model/ops/cuda/row.cuh"
#include "model/ops/cuda/row_launch.h"

namespace allreco::model::ops::cuda {

constexpr unsigned kDropoutThreads = 256;

inline unsigned threads_of(const DropoutArguments& a) { return row_threads(num_packs_of(a.width), kDropoutThreads); }

/// SplitMix64's finaliser.
ALLRECO_DEVICE std::uint64_t finalize(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

ALLRECO_DEVICE std::uint32_t hash(std::uint64_t seed, std::uint32_t column) {
  std::uint32_t h = column + static_cast<std::uint32_t>(seed);
  h ^= h >> 16;
  h *= 0x7feb352du;
  h ^= static_cast<std::uint32_t>(seed >> 32);
  h ^= h >> 15;
  h *= 0x846ca68bu;
  return h ^ (h >> 16);
}

template <class T>
ALLRECO_DEVICE void dropout_write(const ThreadPlace& place, const DropoutArguments& a) {
  const auto row_key = static_cast<std::uint64_t>(a.row_keys[place.block]);
  const std::uint64_t seed = finalize(a.mixed_key ^ finalize(row_key + 0x632BE59BD9B4E019u));
  const T* const x = row_of<T>(a.x, place, a.x_stride);
  T* const y = row_of<T>(a.y, place, a.y_stride);
  for_packs(place, a.width, a.aligned, [&](const PackPlace& at) {
    Floats values = load_pack(x, at);
    for (int i = 0; i < kPerThread; ++i) {
      const bool keep = hash(seed, static_cast<std::uint32_t>(at.begin + i)) < a.threshold;
      values.x[i] = keep ? product(values.x[i], a.scale) : 0.0f;
    }
    if (a.adds) {
      const Floats before = load_pack(y, at);
      for (int i = 0; i < kPerThread; ++i) {
        values.x[i] = sum(before.x[i], to_float(rounded_to<T>(values.x[i])));
      }
    }
    store_pack(y, at, values);
  });
}

}  // namespace allreco::model::ops::cuda
