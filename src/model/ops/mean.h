// The mean of a float32 tensor, always summed in the same order: the one of libtorch's sum of a contiguous tensor on
// one thread (ATen/native/cpu/SumKernel.cpp), which bitsandbytes' offset of absmax comes from. libtorch's own depends
// on the number of threads from 32768 elements on.
#pragma once
#include <ATen/core/Tensor.h>

namespace allreco::model::ops {

/// `x`: float32, contiguous, on the CPU, not empty.
float mean_in_fixed_order(const at::Tensor& x);

}  // namespace allreco::model::ops
