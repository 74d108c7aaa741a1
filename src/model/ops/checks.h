// Argument checks that the ops share. A failure is a fault of the caller inside this program and names op and tensor.
#pragma once
#include <ATen/core/Tensor.h>

#include <initializer_list>

namespace allreco::model::ops {

/// float32, float64 or bfloat16.
void check_floating(const char* op, const char* name, const at::Tensor& tensor);
/// `sizes` (-1: any), dtype and device of `like`, last dimension dense.
void check_like(const char* op, const char* name, const at::Tensor& tensor, const at::Tensor& like,
                std::initializer_list<std::int64_t> sizes);
/// `sizes`, this dtype, the device of `like`, contiguous.
void check_dense(const char* op, const char* name, const at::Tensor& tensor, at::ScalarType dtype,
                 const at::Tensor& like, std::initializer_list<std::int64_t> sizes);
/// The dtype of sums and statistics of a tensor: float64 for float64, else float32.
at::ScalarType accumulate_dtype(const at::Tensor& tensor);

}  // namespace allreco::model::ops
