// What the CPU ops share: dispatch by dtype to the kernel table, pointers to rows, rows over threads.
#pragma once
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>

#include "model/ops/cpu/kernels.h"

namespace allreco::model::ops::cpu {

/// Calls f(T()) with T = float, double or Bf16, the element type of the tensor (already checked to be one of them).
template <class F>
void dispatch(const at::Tensor& tensor, const F& f) {
  switch (tensor.scalar_type()) {
    case at::kDouble:
      f(double());
      break;
    case at::kBFloat16:
      f(Bf16());
      break;
    default:
      f(float());
      break;
  }
}

/// The tensor's elements as T, whatever c10 calls that type.
template <class T>
T* elements(const at::Tensor& tensor) {
  return static_cast<T*>(tensor.data_ptr());
}

/// f(begin, end) for ranges of rows, over the threads; a thread gets at least 16 Ki elements, below which waking it
/// costs more than it saves.
template <class F>
void for_row_ranges(std::int64_t num_rows, std::int64_t row_elements, const F& f) {
  const std::int64_t grain = std::max<std::int64_t>(1, 16384 / std::max<std::int64_t>(1, row_elements));
  at::parallel_for(0, num_rows, grain, f);
}

/// f(row) for each row, over the threads.
template <class F>
void for_rows(std::int64_t num_rows, std::int64_t row_elements, const F& f) {
  for_row_ranges(num_rows, row_elements, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      f(row);
    }
  });
}

}  // namespace allreco::model::ops::cpu
