// The GPU kernels of norm, rotary embedding, gated activation, dropout and cross-entropy behind plain pointers:
// rms_norm.cu, rows.cu and cross_entropy.cu launch them, row_stub.cpp stands in for those in builds without CUDA.
// Pointers are to device memory, strides are between rows and in elements; `stream` is a cudaStream_t. All calls return
// at once and throw when the launch fails. REQUIRE at least one row of at least one element, and at most kMaxRows rows.
#pragma once
#include <cstdint>

namespace allreco::model::ops::cuda {

/// One thread block a row.
constexpr std::int64_t kMaxRows = 0x7fffffff;

/// Element types of rows. All is computed in float32.
enum class RowFloat { f32, bf16 };

/// ops/gated_activation.h's Activation, without a header of torch.
enum class RowActivation { silu, gelu_tanh };

struct RmsNormArguments {
  void* y = nullptr;  // dense
  void* x = nullptr;  // where there is a delta, x + delta is written over it
  const void* delta = nullptr;
  const void* weight = nullptr;
  float* rstd = nullptr;  // written, or only read by the recomputation
  std::int64_t num_rows = 0, width = 0, x_stride = 0, delta_stride = 0;
  float eps = 0;
  bool plus_one = false;  // the form of ops/rms_norm.h
  bool aligned = false;   // every row begins at a multiple of 16 bytes
};

struct RmsNormBackwardArguments {
  void* dx = nullptr;
  const void* dy = nullptr;
  const void* x = nullptr;
  const float* rstd = nullptr;
  const void* weight = nullptr;
  std::int64_t num_rows = 0, width = 0, dx_stride = 0, dy_stride = 0, x_stride = 0;
  bool plus_one = false;
  bool aligned = false;
};

struct RopeArguments {
  void* x = nullptr;
  const std::int64_t* positions = nullptr;
  const float* cos = nullptr;  // dense [num_positions, half]
  const float* sin = nullptr;
  std::int64_t num_rows = 0, num_heads = 0, half = 0, row_stride = 0, head_stride = 0, num_positions = 0;
  bool inverse = false;
  bool aligned = false;  // every half of a head, too
};

struct GatedActivationArguments {
  void* m = nullptr;  // dense
  const void* gate = nullptr;
  const void* up = nullptr;
  std::int64_t num_rows = 0, width = 0, gate_stride = 0, up_stride = 0;
  RowActivation activation = RowActivation::silu;
  bool aligned = false;
};

struct GatedActivationBackwardArguments {
  const void* dm = nullptr;
  void* gate = nullptr;
  void* up = nullptr;
  std::int64_t num_rows = 0, width = 0, dm_stride = 0, gate_stride = 0, up_stride = 0;
  RowActivation activation = RowActivation::silu;
  bool aligned = false;
};

struct DropoutArguments {
  void* y = nullptr;
  const void* x = nullptr;
  const std::int64_t* row_keys = nullptr;
  std::uint64_t mixed_key = 0;  // core::mix_key(key, {})
  std::uint32_t threshold = 0;  // kept are hashes below it
  float scale = 1;
  std::int64_t num_rows = 0, width = 0, y_stride = 0, x_stride = 0;
  bool adds = false;  // to y
  bool aligned = false;
};

struct CrossEntropyArguments {
  void* logits = nullptr;
  const std::int64_t* targets = nullptr;
  float* losses = nullptr;
  double gradient_scale = 1;
  float soft_cap = 0;  // 0: none
  std::int64_t num_rows = 0, width = 0, stride = 0;
  bool aligned = false;
};

struct LogSumExpArguments {
  const void* logits = nullptr;
  double* log_sum_exp = nullptr;
  float soft_cap = 0;
  std::int64_t num_rows = 0, width = 0, stride = 0;
  bool aligned = false;
};

struct GatherArguments {
  const void* logits = nullptr;
  const double* log_sum_exp = nullptr;
  const std::int64_t* rows = nullptr;
  const std::int64_t* targets = nullptr;
  double* log_p = nullptr;
  float soft_cap = 0;
  std::int64_t num_predictions = 0;  // at least one
  std::int64_t num_rows = 0, width = 0, stride = 0;
};

void launch_rms_norm(const RmsNormArguments& arguments, RowFloat type, void* stream);
void launch_rms_norm_recompute(const RmsNormArguments& arguments, RowFloat type, void* stream);
void launch_rms_norm_backward_add(const RmsNormBackwardArguments& arguments, RowFloat type, void* stream);
void launch_rope(const RopeArguments& arguments, RowFloat type, void* stream);
void launch_gated_activation(const GatedActivationArguments& arguments, RowFloat type, void* stream);
void launch_gated_activation_backward(const GatedActivationBackwardArguments& arguments, RowFloat type, void* stream);
void launch_dropout(const DropoutArguments& arguments, RowFloat type, void* stream);
void launch_cross_entropy(const CrossEntropyArguments& arguments, RowFloat type, void* stream);
void launch_log_sum_exp(const LogSumExpArguments& arguments, RowFloat type, void* stream);
void launch_gather_log_p(const GatherArguments& arguments, RowFloat type, void* stream);

}  // namespace allreco::model::ops::cuda
