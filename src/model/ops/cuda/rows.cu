// Rotary embedding, gated activation and dropout on the GPU: kernels of one phase.
#include "model/ops/cuda/dropout_kernels.cuh"
#include "model/ops/cuda/gated_activation_kernels.cuh"
#include "model/ops/cuda/launch.cuh"
#include "model/ops/cuda/rope_kernels.cuh"

namespace allreco::model::ops::cuda {
namespace {

template <class T>
__global__ void __launch_bounds__(kRopeThreads) rope(const RopeArguments a) {
  rope_rotate<T>(place(), a);
}

template <class T>
__global__ void __launch_bounds__(kActivationThreads) gated_activation(const GatedActivationArguments a) {
  gated_activation_write<T>(place(), a);
}

template <class T>
__global__ void __launch_bounds__(kActivationThreads)
    gated_activation_backward(const GatedActivationBackwardArguments a) {
  gated_activation_backward_write<T>(place(), a);
}

template <class T>
__global__ void __launch_bounds__(kDropoutThreads) dropout(const DropoutArguments a) {
  dropout_write<T>(place(), a);
}

}  // namespace

void launch_rope(const RopeArguments& a, RowFloat type, void* stream) {
  launch_rows("rope", type == RowFloat::f32 ? rope<float> : rope<Bf16Bits>, a, stream);
}

void launch_gated_activation(const GatedActivationArguments& a, RowFloat type, void* stream) {
  launch_rows("gated_activation", type == RowFloat::f32 ? gated_activation<float> : gated_activation<Bf16Bits>, a,
              stream);
}

void launch_gated_activation_backward(const GatedActivationBackwardArguments& a, RowFloat type, void* stream) {
  launch_rows("gated_activation_backward",
              type == RowFloat::f32 ? gated_activation_backward<float> : gated_activation_backward<Bf16Bits>, a,
              stream);
}

void launch_dropout(const DropoutArguments& a, RowFloat type, void* stream) {
  launch_rows("dropout", type == RowFloat::f32 ? dropout<float> : dropout<Bf16Bits>, a, stream);
}

}  // namespace allreco::model::ops::cuda
