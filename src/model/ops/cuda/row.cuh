// What the row kernels share: a thread block has one row, whose threads take packs of eight elements in turn; sums over
// the row in a fixed order.
#pragma once
#include <cmath>
#include <stdexcept>

#include "model/ops/cuda/device.cuh"

namespace allreco::model::ops::cuda {

constexpr unsigned kWarp = 32;

/// Threads for `num_packs` packs: whole warps, at most `most`, and no round of the packs with few threads at work.
inline unsigned row_threads(std::int64_t num_packs, unsigned most) {
  const std::int64_t rounds = (num_packs + most - 1) / most;
  const std::int64_t threads = (num_packs + rounds - 1) / rounds;
  return static_cast<unsigned>((threads + kWarp - 1) / kWarp * kWarp);
}

ALLRECO_DEVICE std::int64_t num_packs_of(std::int64_t width) { return (width + kPerThread - 1) / kPerThread; }

/// Elements [begin, begin + count) of a row. The last pack of a row may be short.
struct PackPlace {
  std::int64_t begin = 0;
  int count = 0;
  bool whole = false;  // may move as one
};

ALLRECO_DEVICE PackPlace pack_at(std::int64_t begin, std::int64_t width, bool aligned) {
  const std::int64_t left = width - begin;
  return {begin, left < kPerThread ? static_cast<int>(left) : kPerThread, aligned && left >= kPerThread};
}

/// Calls body(pack) for each of the thread's packs of the block's row.
template <class Body>
ALLRECO_DEVICE void for_packs(const ThreadPlace& place, std::int64_t width, bool aligned, const Body& body) {
  const std::int64_t step = static_cast<std::int64_t>(place.num_threads) * kPerThread;
  for (std::int64_t begin = static_cast<std::int64_t>(place.thread) * kPerThread; begin < width; begin += step) {
    body(pack_at(begin, width, aligned));
  }
}

/// Eight numbers of a thread.
struct Floats {
  float x[kPerThread];
};

/// A pack of a row; `filler` behind a short one's end.
template <class T>
ALLRECO_DEVICE Floats load_pack(const T* row, const PackPlace& at, float filler = 0.0f) {
  Floats floats;
  if (at.whole) {
    const Pack<T> pack = *reinterpret_cast<const Pack<T>*>(row + at.begin);
    for (int i = 0; i < kPerThread; ++i) {
      floats.x[i] = to_float(pack.values[i]);
    }
  } else {
    for (int i = 0; i < kPerThread; ++i) {
      floats.x[i] = i < at.count ? to_float(row[at.begin + i]) : filler;
    }
  }
  return floats;
}

template <class T>
ALLRECO_DEVICE void store_pack(T* row, const PackPlace& at, const Floats& floats) {
  if (at.whole) {
    Pack<T> pack;
    for (int i = 0; i < kPerThread; ++i) {
      pack.values[i] = rounded_to<T>(floats.x[i]);
    }
    *reinterpret_cast<Pack<T>*>(row + at.begin) = pack;
  } else {
    for (int i = 0; i < kPerThread; ++i) {
      if (i < at.count) {
        row[at.begin + i] = rounded_to<T>(floats.x[i]);
      }
    }
  }
}

template <class T>
ALLRECO_DEVICE T* row_of(void* data, const ThreadPlace& place, std::int64_t stride) {
  return static_cast<T*>(data) + static_cast<std::int64_t>(place.block) * stride;
}
template <class T>
ALLRECO_DEVICE const T* row_of(const void* data, const ThreadPlace& place, std::int64_t stride) {
  return static_cast<const T*>(data) + static_cast<std::int64_t>(place.block) * stride;
}

/// An index out of range stops the kernel, as ATen's do: the next call that waits for the GPU reports it.
ALLRECO_DEVICE void check_index(std::int64_t index, std::int64_t limit) {
  if (index < 0 || index >= limit) {
#ifdef __CUDA_ARCH__
    __trap();
#else
    throw std::out_of_range("a row kernel: an index is out of range");
#endif
  }
}

/// Sums over a block: each thread puts its part; barrier; gather_sums; barrier; total_of.
template <unsigned kThreads>
struct SumShared {
  float parts[kThreads];
  float sums[kWarp];
};

template <unsigned kThreads>
ALLRECO_DEVICE void gather_sums(const ThreadPlace& place, SumShared<kThreads>& shared) {
  if (place.thread < kWarp) {
    float partial = 0;
    for (unsigned i = place.thread; i < place.num_threads; i += kWarp) {
      partial = sum(partial, shared.parts[i]);
    }
    shared.sums[place.thread] = partial;
  }
}

template <unsigned kThreads>
ALLRECO_DEVICE float total_of(const SumShared<kThreads>& shared) {
  float total = 0;
  for (unsigned i = 0; i < kWarp; ++i) {
    total = sum(total, shared.sums[i]);
  }
  return total;
}

}  // namespace allreco::model::ops::cuda
