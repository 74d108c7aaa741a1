// Clipping by the global norm, as torch.nn.utils.clip_grad_norm_ does it, and what the same pass tells.
#pragma once
#include <ATen/core/Tensor.h>

namespace allreco::train {

/// Euclidean norm of a flat contiguous tensor (float32 or float64), summed in double in a fixed order: on the CPU the
/// bits do not depend on the number of threads. On a GPU it waits for the device. NaN or infinity when an element is.
double global_norm(const at::Tensor& flat);

/// Whether no element of a flat contiguous tensor is NaN or infinite; of integers always. One pass at the speed of
/// memory.
bool all_finite(const at::Tensor& flat);

/// min(1, max_norm / (norm + 1e-6)): multiply the gradient by it. max_norm 0: no clipping, 1.
double clip_factor(double norm, double max_norm);

}  // namespace allreco::train
