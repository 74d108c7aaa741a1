#include "model/ops/cross_entropy.h"

#include <ATen/ops/empty.h>

#include <cmath>
#include <vector>

#include "core/check.h"
#include "model/ops/checks.h"
#include "model/ops/cpu/rows.h"
#include "model/ops/cpu/softmax_kernels.inc"

namespace allreco::model::ops::cpu {
namespace {

void check_indices(const at::Tensor& indices, std::int64_t limit, const char* message) {
  const auto* const index = elements<std::int64_t>(indices);
  for (std::int64_t i = 0; i < indices.size(0); ++i) {
    core::require(index[i] >= 0 && index[i] < limit, message);
  }
}

template <class T>
AccumulatorOf<T> value_at(const T* x, std::int64_t i) {
  if constexpr (std::is_same_v<T, Bf16>) {
    return static_cast<float>(reinterpret_cast<const c10::BFloat16*>(x)[i]);
  } else {
    return x[i];
  }
}

/// The softmax of rows, with or without a cap.
template <class T>
class RowSoftmax {
 public:
  using Acc = AccumulatorOf<T>;

  RowSoftmax(std::int64_t vocab, std::optional<double> cap)
      : vocab_(vocab), is_capped_(cap), cap_(static_cast<Acc>(cap.value_or(0))) {}

  double log_sum_exp(const T* x) const {
    return is_capped_ ? kernels_.capped_log_sum_exp(x, vocab_, cap_) : kernels_.log_sum_exp(x, vocab_);
  }
  /// By the kernel that the log-sum-exp comes from, so that no probability exceeds 1 by more than rounding.
  double logit(const T* x, std::int64_t i) const {
    Acc value = value_at(x, i);
    if (is_capped_) kernels<SoftmaxKernels<Acc>>().soft_cap(&value, 1, cap_);
    return static_cast<double>(value);
  }
  /// Of the logit by what was given: 1 - tanh^2, from e^(-2|x|) as in functions.inc.
  double slope(const T* x, std::int64_t i) const {
    if (!is_capped_) return 1;
    const double e = std::exp(-2 * std::abs(static_cast<double>(value_at(x, i)) / static_cast<double>(cap_)));
    return 4 * e / ((1 + e) * (1 + e));
  }
  void to_gradient(T* x, double log_sum_exp, Acc scale) const {
    const auto shift = static_cast<Acc>(log_sum_exp);
    is_capped_ ? kernels_.capped_scaled_softmax(x, vocab_, shift, scale, cap_)
               : kernels_.scaled_softmax(x, vocab_, shift, scale);
  }

 private:
  const SoftmaxKernels<T>& kernels_ = kernels<SoftmaxKernels<T>>();
  std::int64_t vocab_;
  bool is_capped_;
  Acc cap_;
};

}  // namespace

at::Tensor cross_entropy_with_gradient(at::Tensor& logits, const at::Tensor& targets, double gradient_scale,
                                       std::optional<double> soft_cap) {
  const std::int64_t vocab = logits.size(1);
  check_indices(targets, vocab, "cross_entropy: a target is not in the vocabulary");
  at::Tensor losses = at::empty({logits.size(0)}, logits.options().dtype(accumulate_dtype(logits)));  // [n]
  dispatch(logits, [&](auto type) {
    using T = decltype(type);
    using Acc = AccumulatorOf<T>;
    using Element = std::conditional_t<std::is_same_v<T, Bf16>, c10::BFloat16, T>;
    const RowSoftmax<T> softmax(vocab, soft_cap);
    const auto scale = static_cast<Acc>(gradient_scale);
    T* const data = elements<T>(logits);
    const auto* const target = elements<std::int64_t>(targets);
    auto* const loss = elements<Acc>(losses);
    for_rows(logits.size(0), vocab, [&](std::int64_t row) {
      T* const x = data + row * logits.stride(0);
      const double log_sum_exp = softmax.log_sum_exp(x);
      const double log_probability = softmax.logit(x, target[row]) - log_sum_exp;
      loss[row] = static_cast<Acc>(-log_probability);
      // p - 1 = expm1(log p): exact also where p is nearly 1, and rounded once.
      const double at_target = std::expm1(log_probability) * gradient_scale * softmax.slope(x, target[row]);
      softmax.to_gradient(x, log_sum_exp, scale);
      reinterpret_cast<Element*>(x)[target[row]] = static_cast<Element>(static_cast<Acc>(at_target));
    });
  });
  return losses;
}

at::Tensor gather_log_softmax(const at::Tensor& logits, const at::Tensor& rows, const at::Tensor& targets,
                              std::optional<double> soft_cap) {
  check_indices(rows, logits.size(0), "gather_log_softmax: a row is not in the logits");
  check_indices(targets, logits.size(1), "gather_log_softmax: a target is not in the vocabulary");
  at::Tensor result = at::empty({rows.size(0)}, logits.options().dtype(at::kDouble));  // [m]
  dispatch(logits, [&](auto type) {
    using T = decltype(type);
    const RowSoftmax<T> softmax(logits.size(1), soft_cap);
    const T* const data = elements<T>(logits);
    const std::int64_t vocab = logits.size(1), stride = logits.stride(0);
    const auto* const row = elements<std::int64_t>(rows);
    const auto* const target = elements<std::int64_t>(targets);
    auto* const output = elements<double>(result);
    std::vector<double> log_sum_exp(static_cast<std::size_t>(logits.size(0)));  // a row may be asked for many times
    for_rows(logits.size(0), vocab, [&](std::int64_t r) {
      log_sum_exp[static_cast<std::size_t>(r)] = softmax.log_sum_exp(data + r * stride);
    });
    for (std::int64_t i = 0; i < rows.size(0); ++i) {
      output[i] = softmax.logit(data + row[i] * stride, target[i]) - log_sum_exp[static_cast<std::size_t>(row[i])];
    }
  });
  return result;
}

void soft_cap_in_place(at::Tensor& logits, double soft_cap) {
  dispatch(logits, [&](auto type) {
    using T = decltype(type);
    const auto kernel = kernels<SoftmaxKernels<T>>().soft_cap;
    T* const data = elements<T>(logits);
    const std::int64_t vocab = logits.size(1), stride = logits.stride(0);
    for_rows(logits.size(0), vocab,
             [&](std::int64_t r) { kernel(data + r * stride, vocab, static_cast<AccumulatorOf<T>>(soft_cap)); });
  });
}

}  // namespace allreco::model::ops::cpu
