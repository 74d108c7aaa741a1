#include <ATen/ops/empty.h>

#include <cmath>
#include <vector>

#include "core/check.h"
#include "model/ops/backends.h"
#include "model/ops/checks.h"
#include "model/ops/cpu/rows.h"

namespace allreco::model::ops::cpu {
namespace {

void check_indices(const at::Tensor& indices, std::int64_t limit, const char* message) {
  const auto* const index = elements<std::int64_t>(indices);
  for (std::int64_t i = 0; i < indices.size(0); ++i) {
    core::require(index[i] >= 0 && index[i] < limit, message);
  }
}

template <class T>
double value_at(const T* x, std::int64_t i) {
  if constexpr (std::is_same_v<T, Bf16>) {
    return static_cast<double>(static_cast<float>(reinterpret_cast<const c10::BFloat16*>(x)[i]));
  } else {
    return static_cast<double>(x[i]);
  }
}

}  // namespace

at::Tensor cross_entropy_with_gradient(at::Tensor& logits, const at::Tensor& targets, double gradient_scale) {
  const std::int64_t vocab = logits.size(1);
  check_indices(targets, vocab, "cross_entropy: a target is not in the vocabulary");
  at::Tensor losses = at::empty({logits.size(0)}, logits.options().dtype(accumulate_dtype(logits)));  // [n]
  dispatch(logits, [&](auto type) {
    using T = decltype(type);
    using Acc = AccumulatorOf<T>;
    using Element = std::conditional_t<std::is_same_v<T, Bf16>, c10::BFloat16, T>;
    const auto& kernels = kernel_table().of<T>();
    const auto scale = static_cast<Acc>(gradient_scale);
    T* const data = elements<T>(logits);
    const auto* const target = elements<std::int64_t>(targets);
    auto* const loss = elements<Acc>(losses);
    for_rows(logits.size(0), vocab, [&](std::int64_t row) {
      T* const x = data + row * logits.stride(0);
      const double log_sum_exp = kernels.log_sum_exp(x, vocab);
      const double log_probability = value_at(x, target[row]) - log_sum_exp;
      loss[row] = static_cast<Acc>(-log_probability);
      kernels.scaled_softmax(x, vocab, static_cast<Acc>(log_sum_exp), scale);
      // p - 1 = expm1(log p): exact also where p is nearly 1, and rounded once.
      reinterpret_cast<Element*>(x)[target[row]] =
          static_cast<Element>(static_cast<Acc>(std::expm1(log_probability) * gradient_scale));
    });
  });
  return losses;
}

at::Tensor gather_log_softmax(const at::Tensor& logits, const at::Tensor& rows, const at::Tensor& targets) {
  check_indices(rows, logits.size(0), "gather_log_softmax: a row is not in the logits");
  check_indices(targets, logits.size(1), "gather_log_softmax: a target is not in the vocabulary");
  at::Tensor result = at::empty({rows.size(0)}, logits.options().dtype(at::kDouble));  // [m]
  dispatch(logits, [&](auto type) {
    using T = decltype(type);
    const auto kernel = kernel_table().of<T>().log_sum_exp;
    const T* const data = elements<T>(logits);
    const std::int64_t vocab = logits.size(1), stride = logits.stride(0);
    const auto* const row = elements<std::int64_t>(rows);
    const auto* const target = elements<std::int64_t>(targets);
    auto* const output = elements<double>(result);
    std::vector<double> log_sum_exp(static_cast<std::size_t>(logits.size(0)));  // a row may be asked for many times
    for_rows(logits.size(0), vocab,
             [&](std::int64_t r) { log_sum_exp[static_cast<std::size_t>(r)] = kernel(data + r * stride, vocab); });
    for (std::int64_t i = 0; i < rows.size(0); ++i) {
      output[i] = value_at(data + row[i] * stride, target[i]) - log_sum_exp[static_cast<std::size_t>(row[i])];
    }
  });
  return result;
}

}  // namespace allreco::model::ops::cpu
