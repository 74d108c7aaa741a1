// Rotary embedding, SwiGLU and dropout on the GPU: kernels of one phase.
#include "model/ops/cuda/dropout_kernels.cuh"
#include "model/ops/cuda/launch.cuh"
#include "model/ops/cuda/rope_kernels.cuh"
#include "model/ops/cuda/swiglu_kernels.cuh"

namespace allreco::model::ops::cuda {
namespace {

template <class T>
__global__ void __launch_bounds__(kRopeThreads) rope(const RopeArguments a) {
  rope_rotate<T>(place(), a);
}

template <class T>
__global__ void __launch_bounds__(kSwigluThreads) swiglu(const SwigluArguments a) {
  swiglu_write<T>(place(), a);
}

template <class T>
__global__ void __launch_bounds__(kSwigluThreads) swiglu_backward(const SwigluBackwardArguments a) {
  swiglu_backward_write<T>(place(), a);
}

template <class T>
__global__ void __launch_bounds__(kDropoutThreads) dropout(const DropoutArguments a) {
  dropout_write<T>(place(), a);
}

}  // namespace

void launch_rope(const RopeArguments& a, RowFloat type, void* stream) {
  launch_rows("rope", type == RowFloat::f32 ? rope<float> : rope<Bf16Bits>, a, stream);
}

void launch_swiglu(const SwigluArguments& a, RowFloat type, void* stream) {
  launch_rows("swiglu", type == RowFloat::f32 ? swiglu<float> : swiglu<Bf16Bits>, a, stream);
}

void launch_swiglu_backward(const SwigluBackwardArguments& a, RowFloat type, void* stream) {
  launch_rows("swiglu_backward", type == RowFloat::f32 ? swiglu_backward<float> : swiglu_backward<Bf16Bits>, a, stream);
}

void launch_dropout(const DropoutArguments& a, RowFloat type, void* stream) {
  launch_rows("dropout", type == RowFloat::f32 ? dropout<float> : dropout<Bf16Bits>, a, stream);
}

}  // namespace allreco::model::ops::cuda
