// Cross-entropy's kernels on the GPU: cross_entropy_kernels.cuh with barriers between its phases.
#include "model/ops/cuda/cross_entropy_kernels.cuh"
#include "model/ops/cuda/launch.cuh"

namespace allreco::model::ops::cuda {
namespace {

constexpr std::int64_t kMaxGatherBlocks = 4096;  // each thread then walks on

template <class T>
__global__ void __launch_bounds__(kSoftmaxThreads) cross_entropy(const CrossEntropyArguments a) {
  __shared__ SoftmaxShared shared;
  cross_entropy_sum<T>(place(), a, shared);
  __syncthreads();
  gather_softmax(place(), shared);
  __syncthreads();
  cross_entropy_loss<T>(place(), a, shared);
  __syncthreads();
  cross_entropy_gradient<T>(place(), a, shared);
}

template <class T>
__global__ void __launch_bounds__(kSoftmaxThreads) log_sum_exp(const LogSumExpArguments a) {
  __shared__ SoftmaxShared shared;
  log_sum_exp_sum<T>(place(), a, shared);
  __syncthreads();
  gather_softmax(place(), shared);
  __syncthreads();
  log_sum_exp_write(place(), a, shared);
}

template <class T>
__global__ void __launch_bounds__(kGatherThreads) gather(const GatherArguments a) {
  gather_log_p<T>(place(), a);
}

}  // namespace

void launch_cross_entropy(const CrossEntropyArguments& a, RowFloat type, void* stream) {
  launch_rows("cross_entropy", type == RowFloat::f32 ? cross_entropy<float> : cross_entropy<Bf16Bits>, a, stream);
}

void launch_log_sum_exp(const LogSumExpArguments& a, RowFloat type, void* stream) {
  launch_rows("log_sum_exp", type == RowFloat::f32 ? log_sum_exp<float> : log_sum_exp<Bf16Bits>, a, stream);
}

void launch_gather_log_p(const GatherArguments& a, RowFloat type, void* stream) {
  const std::int64_t wanted = (a.num_predictions + kGatherThreads - 1) / kGatherThreads;
  const auto blocks = static_cast<unsigned>(wanted < kMaxGatherBlocks ? wanted : kMaxGatherBlocks);
  const auto kernel = type == RowFloat::f32 ? gather<float> : gather<Bf16Bits>;
  kernel<<<blocks, kGatherThreads, 0, static_cast<cudaStream_t>(stream)>>>(a);
  check_launch("gather_log_softmax");
}

}  // namespace allreco::model::ops::cuda
