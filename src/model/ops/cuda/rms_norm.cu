// RMSNorm's kernels on the GPU: rms_norm_kernels.cuh with barriers between its phases.
#include "model/ops/cuda/launch.cuh"
#include "model/ops/cuda/rms_norm_kernels.cuh"

namespace allreco::model::ops::cuda {
namespace {

template <class T>
__global__ void __launch_bounds__(kNormThreads) norm(const RmsNormArguments a) {
  __shared__ NormShared shared;
  norm_square<T>(place(), a, shared);
  __syncthreads();
  gather_sums(place(), shared);
  __syncthreads();
  norm_write<T>(place(), a, shared);
}

template <class T>
__global__ void __launch_bounds__(kNormThreads) recompute(const RmsNormArguments a) {
  norm_recompute<T>(place(), a);
}

template <class T>
__global__ void __launch_bounds__(kNormThreads) backward(const RmsNormBackwardArguments a) {
  __shared__ NormShared shared;
  norm_backward_sum<T>(place(), a, shared);
  __syncthreads();
  gather_sums(place(), shared);
  __syncthreads();
  norm_backward_write<T>(place(), a, shared);
}

}  // namespace

void launch_rms_norm(const RmsNormArguments& a, RowFloat type, void* stream) {
  launch_rows("rms_norm", type == RowFloat::f32 ? norm<float> : norm<Bf16Bits>, a, stream);
}

void launch_rms_norm_recompute(const RmsNormArguments& a, RowFloat type, void* stream) {
  launch_rows("rms_norm_recompute", type == RowFloat::f32 ? recompute<float> : recompute<Bf16Bits>, a, stream);
}

void launch_rms_norm_backward_add(const RmsNormBackwardArguments& a, RowFloat type, void* stream) {
  launch_rows("rms_norm_backward_add", type == RowFloat::f32 ? backward<float> : backward<Bf16Bits>, a, stream);
}

}  // namespace allreco::model::ops::cuda
