// The two implementations of every op, same signatures, arguments already checked. ops/*.cpp dispatches by device.
// cuda/ is compiled in every build, only its kernels' launches are not; on CPU tensors it computes the same with ATen's
// operators, which the tests use.
#pragma once
#include "model/ops/adamw8bit.h"
#include "model/ops/attention.h"
#include "model/ops/blockwise8.h"
#include "model/ops/cross_entropy.h"
#include "model/ops/dropout.h"
#include "model/ops/nf4.h"
#include "model/ops/rms_norm.h"
#include "model/ops/rope.h"
#include "model/ops/swiglu.h"

#define ALLRECO_OPS_OF_A_BACKEND                                                                                      \
  void adamw8bit_in_place(at::Tensor& parameters, const at::Tensor& gradients, AdamW8BitState& state,                 \
                          const AdamW8BitMaps& maps, const AdamW8BitStep& step);                                      \
  NormOutput rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);                                     \
  NormOutput add_rms_norm(at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight, double eps);              \
  at::Tensor rms_norm_recompute(const at::Tensor& x, const at::Tensor& rstd, const at::Tensor& weight);               \
  void rms_norm_backward_add(at::Tensor& dx, const at::Tensor& dy, const at::Tensor& x, const at::Tensor& rstd,       \
                             const at::Tensor& weight);                                                               \
  void rope_in_place(at::Tensor& x, const at::Tensor& positions, const at::Tensor& cos, const at::Tensor& sin,        \
                     bool inverse);                                                                                   \
  at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);                                                    \
  void swiglu_backward_in_place(const at::Tensor& dm, at::Tensor& gate, at::Tensor& up);                              \
  at::Tensor dropout(const at::Tensor& x, const at::Tensor& row_keys, std::uint64_t key, double p);                   \
  void dropout_add(at::Tensor& y, const at::Tensor& x, const at::Tensor& row_keys, std::uint64_t key, double p);      \
  at::Tensor cross_entropy_with_gradient(at::Tensor& logits, const at::Tensor& targets, double gradient_scale);       \
  at::Tensor gather_log_softmax(const at::Tensor& logits, const at::Tensor& rows, const at::Tensor& targets);         \
  AttentionOutput attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,                            \
                            const std::vector<AttentionSpan>& spans, double scale,                                    \
                            std::optional<std::int64_t> window);                                                      \
  AttentionGradients attention_backward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,             \
                                        const at::Tensor& v, const AttentionOutput& forward,                          \
                                        const std::vector<AttentionSpan>& spans, double scale,                        \
                                        std::optional<std::int64_t> window);                                          \
  void nf4_quantize_blocks(const at::Tensor& values, std::int64_t blocksize, at::Tensor& packed, at::Tensor& absmax); \
  void nf4_dequantize(const Nf4Tensor& nf4, at::Tensor& out, at::ScalarType rounding);

namespace allreco::model::ops::cpu {
ALLRECO_OPS_OF_A_BACKEND
void blockwise8_quantize(const at::Tensor& values, const Map8& map, std::int64_t blocksize, at::Tensor& codes,
                         at::Tensor& absmax);
void blockwise8_dequantize(const at::Tensor& codes, const at::Tensor& absmax, const Map8& map, std::int64_t blocksize,
                           at::Tensor& out);
}  // namespace allreco::model::ops::cpu
namespace allreco::model::ops::cuda {
ALLRECO_OPS_OF_A_BACKEND
}
#undef ALLRECO_OPS_OF_A_BACKEND
