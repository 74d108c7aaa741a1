// Cross-entropy's kernels (see nf4_kernels.cuh for the form): a block has a row of logits. One pass finds its
// log-sum-exp, the next writes the gradient.
#pragma once
#include "model/ops/cuda/row.cuh"
#include "model/ops/cuda/row_launch.h"

namespace allreco::model::ops::cuda {

constexpr unsigned kSoftmaxThreads = 512;
constexpr unsigned kGatherThreads = 256;

inline unsigned threads_of(const CrossEntropyArguments& a) {
  return row_threads(num_packs_of(a.width), kSoftmaxThreads);
}
inline unsigned threads_of(const LogSumExpArguments& a) { return row_threads(num_packs_of(a.width), kSoftmaxThreads); }

/// sum = sum of exp(x - maximum) over what was seen.
struct SoftmaxPart {
  float maximum;
  float sum;
};

struct SoftmaxShared {
  SoftmaxPart parts[kSoftmaxThreads];
  SoftmaxPart sums[kWarp];
  float log_sum_exp, target_gradient;
};

/// A logit under a soft cap (0: none), and its slope by what it was, as cpu/functions.inc has it.
ALLRECO_DEVICE float capped(float x, float cap) { return cap == 0.0f ? x : product(cap, std::tanh(quotient(x, cap))); }
ALLRECO_DEVICE float slope_of_cap(float x, float cap) {
  if (cap == 0.0f) {
    return 1.0f;
  }
  const float e = std::exp(product(-2.0f, std::abs(quotient(x, cap)))), inverse = quotient(1.0f, sum(1.0f, e));
  return product(product(4.0f * e, inverse), inverse);
}

ALLRECO_DEVICE float minus_infinity() { return bits_to<float>(0xff800000u); }

/// Where nothing but -inf was seen: -inf - -inf would be NaN.
ALLRECO_DEVICE float shift_of(float maximum) { return maximum == minus_infinity() ? 0.0f : maximum; }

/// Of parts begin, begin + step, ... below end. Unrolled it takes more registers than the rest of the kernel.
ALLRECO_DEVICE SoftmaxPart merged(const SoftmaxPart* parts, unsigned begin, unsigned end, unsigned step) {
  SoftmaxPart all{minus_infinity(), 0.0f};
  ALLRECO_ROLLED for (unsigned i = begin; i < end; i += step) {
    all.maximum = parts[i].maximum > all.maximum ? parts[i].maximum : all.maximum;
  }
  const float shift = shift_of(all.maximum);
  ALLRECO_ROLLED for (unsigned i = begin; i < end; i += step) {
    all.sum = sum(all.sum, product(parts[i].sum, std::exp(sum(parts[i].maximum, -shift))));
  }
  return all;
}

/// Each thread's part. A NaN passes the comparisons by and reaches the sum.
template <class T>
ALLRECO_DEVICE SoftmaxPart softmax_part(const ThreadPlace& place, const T* logits, std::int64_t width, float cap,
                                        bool aligned) {
  SoftmaxPart part{minus_infinity(), 0.0f};
  for_packs(place, width, aligned, [&](const PackPlace& at) {
    Floats values = load_pack(logits, at, minus_infinity());
    for (int i = 0; i < kPerThread; ++i) {
      values.x[i] = i < at.count ? capped(values.x[i], cap) : values.x[i];  // not the filler
    }
    float largest = part.maximum;
    for (int i = 0; i < kPerThread; ++i) {
      largest = values.x[i] > largest ? values.x[i] : largest;
    }
    const float shift = shift_of(largest);
    if (largest > part.maximum) {
      part = {largest, product(part.sum, std::exp(sum(part.maximum, -shift)))};
    }
    for (int i = 0; i < kPerThread; ++i) {
      part.sum = sum(part.sum, std::exp(sum(values.x[i], -shift)));
    }
  });
  return part;
}

ALLRECO_DEVICE void gather_softmax(const ThreadPlace& place, SoftmaxShared& shared) {
  if (place.thread < kWarp) {
    shared.sums[place.thread] = merged(shared.parts, place.thread, place.num_threads, kWarp);
  }
}

ALLRECO_DEVICE double log_sum_exp_of(const SoftmaxShared& shared) {
  const SoftmaxPart part = merged(shared.sums, 0, kWarp, 1);
  return static_cast<double>(part.maximum) + std::log(static_cast<double>(part.sum));
}

template <class T>
ALLRECO_DEVICE void cross_entropy_sum(const ThreadPlace& place, const CrossEntropyArguments& a, SoftmaxShared& shared) {
  shared.parts[place.thread] =
      softmax_part(place, row_of<T>(a.logits, place, a.stride), a.width, a.soft_cap, a.aligned);
}

/// The loss, and what the gradient needs.
template <class T>
ALLRECO_DEVICE void cross_entropy_loss(const ThreadPlace& place, const CrossEntropyArguments& a,
                                       SoftmaxShared& shared) {
  if (place.thread != 0) {
    return;
  }
  const std::int64_t target = a.targets[place.block];
  check_index(target, a.width);
  const double log_sum_exp = log_sum_exp_of(shared);
  const float logit = to_float(row_of<T>(a.logits, place, a.stride)[target]);
  const double log_p = static_cast<double>(capped(logit, a.soft_cap)) - log_sum_exp;
  a.losses[place.block] = static_cast<float>(-log_p);
  shared.log_sum_exp = static_cast<float>(log_sum_exp);
  // p - 1 = expm1(log p): exact also where p is nearly 1, and rounded once.
  shared.target_gradient =
      static_cast<float>(std::expm1(log_p) * a.gradient_scale * static_cast<double>(slope_of_cap(logit, a.soft_cap)));
}

template <class T>
ALLRECO_DEVICE void cross_entropy_gradient(const ThreadPlace& place, const CrossEntropyArguments& a,
                                           const SoftmaxShared& shared) {
  T* const logits = row_of<T>(a.logits, place, a.stride);
  const std::int64_t target = a.targets[place.block];
  const float log_sum_exp = shared.log_sum_exp, scale = static_cast<float>(a.gradient_scale);
  for_packs(place, a.width, a.aligned, [&](const PackPlace& at) {
    Floats values = load_pack(logits, at);
    for (int i = 0; i < kPerThread; ++i) {
      const float softmax = std::exp(sum(capped(values.x[i], a.soft_cap), -log_sum_exp));
      const float gradient = product(product(softmax, scale), slope_of_cap(values.x[i], a.soft_cap));
      values.x[i] = at.begin + i == target ? shared.target_gradient : gradient;
    }
    store_pack(logits, at, values);
  });
}

template <class T>
ALLRECO_DEVICE void log_sum_exp_sum(const ThreadPlace& place, const LogSumExpArguments& a, SoftmaxShared& shared) {
  shared.parts[place.thread] =
      softmax_part(place, row_of<T>(a.logits, place, a.stride), a.width, a.soft_cap, a.aligned);
}

ALLRECO_DEVICE void log_sum_exp_write(const ThreadPlace& place, const LogSumExpArguments& a,
                                      const SoftmaxShared& shared) {
  if (place.thread == 0) {
    a.log_sum_exp[place.block] = log_sum_exp_of(shared);
  }
}

/// Grid-stride over the predictions.
template <class T>
ALLRECO_DEVICE void gather_log_p(const ThreadPlace& place, const GatherArguments& a) {
  const std::int64_t num_threads = static_cast<std::int64_t>(place.num_threads) * place.num_blocks;
  const std::int64_t first = static_cast<std::int64_t>(place.block) * place.num_threads + place.thread;
  for (std::int64_t i = first; i < a.num_predictions; i += num_threads) {
    const std::int64_t row = a.rows[i], target = a.targets[i];
    check_index(row, a.num_rows);
    check_index(target, a.width);
    const float chosen = capped(to_float(static_cast<const T*>(a.logits)[row * a.stride + target]), a.soft_cap);
    a.log_p[i] = static_cast<double>(chosen) - a.log_sum_exp[row];
  }
}

}  // namespace allreco::model::ops::cuda
