// Norm, rotary embedding, gated activation and dropout: by kernels of their own where those take the tensors
// (fused_rows.h), else through ATen's operators, whose source runs on the GPU and, in the tests, on the CPU. Each
// rounds where the CPU kernels round.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/where.h>

#include "core/random.h"
#include "model/ops/checks.h"
#include "model/ops/cuda/fused_rows.h"
#include "model/ops/dropout.h"
#include "model/ops/gated_activation.h"
#include "model/ops/rms_norm.h"
#include "model/ops/rope.h"

namespace allreco::model::ops::cuda {
namespace {

/// In the type in which sums and functions are computed; the tensor itself where it has it already.
at::Tensor wide(const at::Tensor& t) { return t.to(accumulate_dtype(t)); }

/// What a normalised value is multiplied by.
at::Tensor factor_of(const NormWeight& weight) {
  const at::Tensor w = wide(weight.weight);
  return weight.plus_one ? w + 1 : w;
}

/// SplitMix64's finaliser (core/random.cpp) on int64 tensors, whose products wrap; shifts are made logical by masks.
at::Tensor finalize(at::Tensor x) {
  const auto shifted = [](const at::Tensor& t, std::int64_t bits) {
    return t.bitwise_right_shift(bits).bitwise_and_((std::int64_t{1} << (64 - bits)) - 1);
  };
  x = x + static_cast<std::int64_t>(0x9E3779B97F4A7C15);
  x = x.bitwise_xor_(shifted(x, 30)).mul_(static_cast<std::int64_t>(0xBF58476D1CE4E5B9));
  x = x.bitwise_xor_(shifted(x, 27)).mul_(static_cast<std::int64_t>(0x94D049BB133111EB));
  return x.bitwise_xor_(shifted(x, 31));
}

/// core::mix_key(key, {row_keys[t]}) for every t, int64 [T].
at::Tensor mix_keys(std::uint64_t key, const at::Tensor& row_keys) {
  const auto mixed = static_cast<std::int64_t>(core::mix_key(key, {}));
  return finalize(finalize(row_keys + std::int64_t{0x632BE59BD9B4E019}).bitwise_xor_(mixed));
}

/// The low 32 bits of each element, as int32 [T, 1].
at::Tensor low_word(const at::Tensor& seeds) {
  const at::Tensor word = seeds.bitwise_and(std::int64_t{0xffffffff});  // 0 .. 2^32 - 1
  return at::where(word >= (std::int64_t{1} << 31), word - (std::int64_t{1} << 32), word).to(at::kInt).unsqueeze(1);
}

/// The hash of cpu/dropout_kernels.inc for columns 0 .. width - 1 of every row: unsigned words in int32 [T, width].
at::Tensor hash_columns(const at::Tensor& seeds, std::int64_t width) {
  const auto xor_shifted = [](at::Tensor& h, int bits) {
    h.bitwise_xor_(h.bitwise_right_shift(bits).bitwise_and_((1 << (32 - bits)) - 1));
  };
  at::Tensor h = at::arange(width, seeds.options().dtype(at::kInt)).unsqueeze(0) + low_word(seeds);
  xor_shifted(h, 16);
  h.mul_(0x7feb352d).bitwise_xor_(low_word(seeds.bitwise_right_shift(32)));
  xor_shifted(h, 15);
  h.mul_(static_cast<std::int32_t>(0x846ca68bU));
  xor_shifted(h, 16);
  return h;
}

struct ActivationAndSlope {
  at::Tensor value, slope;
};

ActivationAndSlope silu_with_slope(const at::Tensor& x) {
  const at::Tensor sigmoid = at::sigmoid(x), silu = x * sigmoid;
  return {silu, sigmoid + silu * (1 - sigmoid)};
}

constexpr double kTwiceRoot = 1.5957691216057308, kCubic = 0.044715;  // 2 sqrt(2 / pi)

/// gelu_tanh is x sigmoid(this).
at::Tensor twice_inner(const at::Tensor& x) { return (x + x * x * x * kCubic) * kTwiceRoot; }

ActivationAndSlope gelu_tanh_with_slope(const at::Tensor& x) {
  const at::Tensor u = twice_inner(x), value = x * at::sigmoid(u);
  const at::Tensor du = ((x * x).clamp_max(1024) * (3 * kCubic) + 1) * kTwiceRoot;  // no infinity times 0
  return {value, at::sigmoid(u) + value * at::sigmoid(-u) * du};
}

}  // namespace

NormOutput rms_norm(const at::Tensor& x, const NormWeight& weight, double eps) {
  if (fused_takes(x)) return fused_rms_norm(x, nullptr, weight, eps);
  const at::Tensor x_wide = wide(x);
  const at::Tensor rstd = at::rsqrt((x_wide * x_wide).mean(-1).add_(eps));  // [T]
  return {cuda::rms_norm_recompute(x, rstd, weight), rstd};
}

NormOutput add_rms_norm(at::Tensor& x, const at::Tensor& delta, const NormWeight& weight, double eps) {
  if (fused_takes(x)) return fused_rms_norm(x, &delta, weight, eps);
  x.add_(delta);
  return cuda::rms_norm(x, weight, eps);
}

at::Tensor rms_norm_recompute(const at::Tensor& x, const at::Tensor& rstd, const NormWeight& weight) {
  if (fused_takes(x)) return fused_rms_norm_recompute(x, rstd, weight);
  const at::Tensor normalised = wide(x) * rstd.unsqueeze(1);  // [T, D]
  return weight.plus_one ? normalised.mul(factor_of(weight)).to(x.scalar_type())
                         : normalised.to(x.scalar_type()) * weight.weight;
}

void rms_norm_backward_add(at::Tensor& dx, const at::Tensor& dy, const at::Tensor& x, const at::Tensor& rstd,
                           const NormWeight& weight) {
  if (fused_takes(x)) return fused_rms_norm_backward_add(dx, dy, x, rstd, weight);
  const at::Tensor scaled = wide(dy) * factor_of(weight), x_wide = wide(x), r = rstd.unsqueeze(1);  // [T, D], [T, 1]
  const at::Tensor along_x = (scaled * x_wide).mean(-1, /*keepdim=*/true) * r * r;                  // [T, 1]
  dx.copy_(wide(dx) + r * (scaled - x_wide * along_x));
}

void rope_in_place(at::Tensor& x, const at::Tensor& positions, const at::Tensor& cos, const at::Tensor& sin,
                   bool inverse) {
  if (fused_takes(x)) return fused_rope_in_place(x, positions, cos, sin, inverse);
  const std::int64_t half = x.size(2) / 2;
  const at::Tensor c = cos.index_select(0, positions).unsqueeze(1);  // [T, 1, E/2]
  at::Tensor s = sin.index_select(0, positions).unsqueeze(1);
  if (inverse) s = -s;
  at::Tensor first = x.narrow(2, 0, half), second = x.narrow(2, half, half);
  const at::Tensor x1 = wide(first), x2 = wide(second);
  const at::Tensor y1 = x1 * c - x2 * s, y2 = x2 * c + x1 * s;
  first.copy_(y1);
  second.copy_(y2);
}

at::Tensor gated_activation(Activation activation, const at::Tensor& gate, const at::Tensor& up) {
  if (fused_takes(gate)) return fused_gated_activation(activation, gate, up);
  const at::Tensor g = wide(gate);
  const at::Tensor value = activation == Activation::silu ? at::silu(g) : g * at::sigmoid(twice_inner(g));
  return (value * wide(up)).to(gate.scalar_type());
}

void gated_activation_backward_in_place(Activation activation, const at::Tensor& dm, at::Tensor& gate, at::Tensor& up) {
  if (fused_takes(dm)) return fused_gated_activation_backward_in_place(activation, dm, gate, up);
  const at::Tensor d = wide(dm), g = wide(gate);
  const auto [value, slope] = activation == Activation::silu ? silu_with_slope(g) : gelu_tanh_with_slope(g);
  const at::Tensor dgate = d * wide(up) * slope;
  up.copy_(d * value);
  gate.copy_(dgate);
}

at::Tensor dropout(const at::Tensor& x, const at::Tensor& row_keys, std::uint64_t key, double p) {
  if (fused_takes(x)) return fused_dropout(x, row_keys, key, p);
  constexpr std::uint32_t kSign = 0x80000000U;  // flipping it makes the signed comparison an unsigned one
  const at::Tensor hash =
      hash_columns(mix_keys(key, row_keys), x.size(1)).bitwise_xor_(static_cast<std::int32_t>(kSign));
  const at::Tensor keep = hash < static_cast<std::int32_t>(dropout_threshold(p) ^ kSign);
  return at::where(keep, wide(x) * (1 / (1 - p)), 0).to(x.scalar_type());
}

void dropout_add(at::Tensor& y, const at::Tensor& x, const at::Tensor& row_keys, std::uint64_t key, double p) {
  if (fused_takes(x)) return fused_dropout_add(y, x, row_keys, key, p);
  y.add_(dropout(x, row_keys, key, p));
}

}  // namespace allreco::model::ops::cuda
