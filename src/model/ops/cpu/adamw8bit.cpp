// Compiled with -ffp-contract=off: what is fused is written as such, so that every instruction set gives the same bits.
#include "model/ops/adamw8bit.h"

#include <cmath>

#include "model/ops/cpu/blocks.h"
#include "model/ops/cpu/kernels.h"

namespace allreco::model::ops {
namespace {

constexpr std::int64_t kBlock = kAdamW8BitBlocksize;
constexpr std::int64_t kBlocksPerTask = 16;  // some 20 us of work

/// The numbers of a step, computed in double and rounded once, as torch rounds its scalars.
struct Constants {
  explicit Constants(const AdamW8BitStep& s)
      : gradient_factor(static_cast<float>(s.gradient_factor)),
        beta1(static_cast<float>(s.beta1)),
        one_minus_beta1(static_cast<float>(1 - s.beta1)),
        beta2(static_cast<float>(s.beta2)),
        one_minus_beta2(static_cast<float>(1 - s.beta2)),
        correction2(static_cast<float>(std::sqrt(1 - std::pow(s.beta2, static_cast<double>(s.num_updates))))),
        epsilon(static_cast<float>(s.epsilon)),
        decay(static_cast<float>(1 - s.learning_rate * s.weight_decay)),
        step_size(static_cast<float>(-s.learning_rate / (1 - std::pow(s.beta1, static_cast<double>(s.num_updates))))) {}
  float gradient_factor, beta1, one_minus_beta1, beta2, one_minus_beta2, correction2, epsilon, decay, step_size;
};

/// A block's moments in float32.
struct Moments {
  alignas(64) float m[kBlock];
  alignas(64) float v[kBlock];
};

using Kernel = void (*)(float* p, const float* g, Moments& moments, std::int64_t n, const Constants& c);

[[gnu::always_inline]] inline void update(float* __restrict p, const float* __restrict gradient, Moments& moments,
                                          std::int64_t n, const Constants& c) {
  float* __restrict const m = moments.m;
  float* __restrict const v = moments.v;
  for (std::int64_t i = 0; i < n; ++i) {
    const float g = gradient[i] * c.gradient_factor;
    m[i] = std::fma(g, c.one_minus_beta1, m[i] * c.beta1);
    v[i] = std::fma(c.one_minus_beta2 * g, g, v[i] * c.beta2);
    const float denominator = std::sqrt(v[i]) / c.correction2 + c.epsilon;
    p[i] = p[i] * c.decay + c.step_size * m[i] / denominator;
  }
}

void update_baseline(float* p, const float* g, Moments& moments, std::int64_t n, const Constants& c) {
  update(p, g, moments, n, c);
}

#if defined(__x86_64__)
[[gnu::target("avx2,fma")]] void update_avx2(float* p, const float* g, Moments& moments, std::int64_t n,
                                             const Constants& c) {
  update(p, g, moments, n, c);
}

[[gnu::target("avx512f,avx512vl,avx512dq,avx512bw,fma")]] void update_avx512(float* p, const float* g, Moments& moments,
                                                                             std::int64_t n, const Constants& c) {
  update(p, g, moments, n, c);
}
#endif

Kernel choose_kernel() {
#if defined(__x86_64__)
  const cpu::InstructionSet set = cpu::instruction_set();
  if (set == cpu::InstructionSet::avx512) return &update_avx512;
  if (set == cpu::InstructionSet::avx2) return &update_avx2;
#endif
  return &update_baseline;
}

void dequantize_block(float* values, const std::uint8_t* codes, float absmax, const Map8& map, std::int64_t n) {
  const float* const entries = map.values();
  for (std::int64_t i = 0; i < n; ++i) values[i] = entries[codes[i]] * absmax;
}

}  // namespace

namespace cpu {

void adamw8bit_in_place(at::Tensor& parameters, const at::Tensor& gradients, AdamW8BitState& state,
                        const AdamW8BitMaps& maps, const AdamW8BitStep& step) {
  const Constants constants(step);
  const Kernel kernel = choose_kernel();
  auto* const p = parameters.mutable_data_ptr<float>();
  const auto* const g = gradients.const_data_ptr<float>();
  auto* const codes1 = state.codes1.mutable_data_ptr<std::uint8_t>();
  auto* const codes2 = state.codes2.mutable_data_ptr<std::uint8_t>();
  auto* const absmax1 = state.absmax1.mutable_data_ptr<float>();
  auto* const absmax2 = state.absmax2.mutable_data_ptr<float>();
  const std::int64_t num_elements = parameters.numel();
  at::parallel_for(0, state.absmax1.numel(), kBlocksPerTask, [&](std::int64_t first, std::int64_t last) {
    Moments moments;
    for (std::int64_t block = first; block < last; ++block) {
      const std::int64_t begin = block * kBlock;
      const std::int64_t n = std::min(kBlock, num_elements - begin);
      dequantize_block(moments.m, codes1 + begin, absmax1[block], maps.first, n);
      dequantize_block(moments.v, codes2 + begin, absmax2[block], maps.second, n);
      kernel(p + begin, g + begin, moments, n, constants);
      absmax1[block] = blockwise8_quantize_block(codes1 + begin, moments.m, n, maps.first, n < kBlock);
      absmax2[block] = blockwise8_quantize_block(codes2 + begin, moments.v, n, maps.second, n < kBlock);
    }
  });
}

}  // namespace cpu
}  // namespace allreco::model::ops
