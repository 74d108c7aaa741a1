// The kernels of NF4, in a form that also compiles for the host: a kernel is a few phases, each a function of the
// thread, with a barrier of the thread block between two of them. nf4.cu makes kernels of them; the tests loop over
// blocks, phases and threads and compare with the CPU's bits. Arithmetic is written so that no compiler fuses or
// approximates it: the bits are those of ops/cpu.
#pragma once
#include <cstdint>
#include <utility>

#include "model/ops/cuda/device.cuh"
#include "model/ops/cuda/nf4_launch.h"
#include "model/ops/nf4_codebook.h"

namespace allreco::model::ops::cuda {

// Quantise. A thread block takes 4096 elements, which are whole NF4 blocks of any size.

constexpr int kQuantizeThreads = 512;
constexpr int kQuantizeElements = kQuantizeThreads * kPerThread;

struct Nf4QuantizeShared {
  int absmax_bits[kQuantizeElements / 32];
};

template <class T>
ALLRECO_DEVICE int load_values(float* x, const T* values, std::int64_t begin, std::int64_t num_elements) {
  const std::int64_t left = num_elements - begin;
  const int count = left < 0 ? 0 : left < kPerThread ? static_cast<int>(left) : kPerThread;
  if (count == kPerThread) {
    const Pack<T> pack = *reinterpret_cast<const Pack<T>*>(values + begin);
    for (int i = 0; i < kPerThread; ++i) {
      x[i] = to_float(pack.values[i]);
    }
  } else {
    for (int i = 0; i < kPerThread; ++i) {
      x[i] = i < count ? to_float(values[begin + i]) : 0.0f;
    }
  }
  return count;
}

ALLRECO_DEVICE std::int64_t quantize_begin(const ThreadPlace& place) {
  return static_cast<std::int64_t>(place.block) * kQuantizeElements +
         static_cast<std::int64_t>(place.thread) * kPerThread;
}

ALLRECO_DEVICE void quantize_clear(const ThreadPlace& place, Nf4QuantizeShared& shared) {
  if (place.thread < kQuantizeElements / 32) {
    shared.absmax_bits[place.thread] = 0;
  }
}

/// Absolute values compare as integers; infinities and NaNs are the largest.
template <class T>
ALLRECO_DEVICE void quantize_find_absmax(const ThreadPlace& place, const Nf4QuantizeArguments& a,
                                         Nf4QuantizeShared& shared) {
  float x[kPerThread];
  const auto* const values = static_cast<const T*>(a.values);
  if (load_values(x, values, quantize_begin(place), a.num_elements) == 0) {
    return;
  }
  int largest = 0;
  for (int i = 0; i < kPerThread; ++i) {
    const int bits = static_cast<int>(bits_to<std::uint32_t>(x[i]) & 0x7fffffffu);
    largest = bits > largest ? bits : largest;
  }
  raise_to(&shared.absmax_bits[static_cast<int>(place.thread) * kPerThread / a.blocksize], largest);
}

/// A number that device code may use, as it is known before.
template <int I>
constexpr float kMidpoint = nf4_midpoint(I);

template <int... I>
ALLRECO_DEVICE unsigned num_midpoints_below(float fraction, std::integer_sequence<int, I...> /*all*/) {
  return ((fraction > kMidpoint<I> ? 1u : 0u) + ...);
}

ALLRECO_DEVICE unsigned nf4_code(float fraction) {
  return num_midpoints_below(fraction, std::make_integer_sequence<int, kNumNf4Codes - 1>());
}

template <class T>
ALLRECO_DEVICE void quantize_write(const ThreadPlace& place, const Nf4QuantizeArguments& a,
                                   const Nf4QuantizeShared& shared) {
  float x[kPerThread];
  const std::int64_t begin = quantize_begin(place);
  const int count = load_values(x, static_cast<const T*>(a.values), begin, a.num_elements);
  if (count == 0) {
    return;
  }
  const std::int64_t block = begin / a.blocksize;
  const bool is_short = (block + 1) * a.blocksize > a.num_elements;
  const float largest = bits_to<float>(shared.absmax_bits[static_cast<int>(place.thread) * kPerThread / a.blocksize]);
  const float divisor = largest < kMinAbsmax ? kMinAbsmax : largest;
  if (begin % a.blocksize == 0) {
    a.absmax[block] = is_short ? divisor : largest;
  }
  const float inverse = quotient(1.0f, divisor);
  std::uint32_t bytes = 0;
  for (int i = 0; i < kPerThread; ++i) {
    const unsigned code = nf4_code(is_short ? quotient(x[i], divisor) : product(x[i], inverse));
    bytes |= code << (i / 2 * 8 + (i % 2 == 0 ? 4 : 0));
  }
  if (count == kPerThread) {
    *reinterpret_cast<std::uint32_t*>(a.packed + begin / 2) = bytes;
  } else {
    for (int i = 0; i < (count + 1) / 2; ++i) {
      a.packed[begin / 2 + i] = static_cast<std::uint8_t>(bytes >> (8 * i));
    }
  }
}

// Dequantise. Grid-stride: any number of blocks and threads.

struct Nf4DequantizeShared {
  float quant_map[kNumNf4Codes];  // 16 banks: threads that ask for different codes do not wait for one another
};

ALLRECO_DEVICE void dequantize_load_map(const ThreadPlace& place, const Nf4DequantizeArguments& a,
                                        Nf4DequantizeShared& shared) {
  for (unsigned i = place.thread; i < kNumNf4Codes; i += place.num_threads) {
    shared.quant_map[i] = a.quant_map[i];
  }
}

/// float32, decoded where it is nested: two roundings.
ALLRECO_DEVICE float absmax_of(const Nf4DequantizeArguments& a, std::int64_t block) {
  if (a.absmax != nullptr) {
    return a.absmax[block];
  }
  const float centred = product(a.nested_map[a.absmax_codes[block]], a.nested_absmax[block >> a.log2_nested_blocksize]);
  return sum(centred, a.nested_offset);
}

ALLRECO_DEVICE void store_value(float* out, float x) { *out = x; }
ALLRECO_DEVICE void store_value(float* out, Bf16Bits x) { *out = to_float(x); }
ALLRECO_DEVICE void store_value(float* out, Fp16Bits x) { *out = to_float(x); }
ALLRECO_DEVICE void store_value(Bf16Bits* out, Bf16Bits x) { *out = x; }
ALLRECO_DEVICE void store_value(Fp16Bits* out, Fp16Bits x) { *out = x; }

/// Eight elements, of one NF4 block, from `begin` on.
template <class Out, class Rounded>
ALLRECO_DEVICE void dequantize_group(const Nf4DequantizeArguments& a, const Nf4DequantizeShared& shared,
                                     std::int64_t begin) {
  const std::int64_t left = a.num_elements - begin;
  const int count = left < kPerThread ? static_cast<int>(left) : kPerThread;
  std::uint32_t bytes = 0;
  if (count == kPerThread) {
    bytes = *reinterpret_cast<const std::uint32_t*>(a.packed + begin / 2);
  } else {
    for (int i = 0; i < (count + 1) / 2; ++i) {
      bytes |= static_cast<std::uint32_t>(a.packed[begin / 2 + i]) << (8 * i);
    }
  }
  const float absmax = absmax_of(a, begin >> a.log2_blocksize);
  Pack<Out> pack;
  for (int i = 0; i < kPerThread; ++i) {
    const std::uint32_t code = (bytes >> (i / 2 * 8 + (i % 2 == 0 ? 4 : 0))) & 15u;
    store_value(&pack.values[i], rounded_to<Rounded>(product(shared.quant_map[code], absmax)));
  }
  auto* const out = static_cast<Out*>(a.out) + begin;
  if (count == kPerThread) {
    *reinterpret_cast<Pack<Out>*>(out) = pack;
  } else {
    for (int i = 0; i < kPerThread; ++i) {  // a fixed number of rounds, or the values would go through memory
      if (i < count) {
        out[i] = pack.values[i];
      }
    }
  }
}

template <class Out, class Rounded>
ALLRECO_DEVICE void dequantize_write(const ThreadPlace& place, const Nf4DequantizeArguments& a,
                                     const Nf4DequantizeShared& shared) {
  const std::int64_t num_threads = static_cast<std::int64_t>(place.num_threads) * place.num_blocks;
  const std::int64_t first = static_cast<std::int64_t>(place.block) * place.num_threads + place.thread;
  for (std::int64_t group = first; group * kPerThread < a.num_elements; group += num_threads) {
    dequantize_group<Out, Rounded>(a, shared, group * kPerThread);
  }
}

}  // namespace allreco::model::ops::cuda
