#include "model/ops/adamw8bit.h"

#include <ATen/ops/bucketize.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/index_select.h>

#include <algorithm>
#include <cmath>

#include "model/ops/nf4_codebook.h"

namespace allreco::model::ops {
namespace {

constexpr std::int64_t kBlock = kAdamW8BitBlocksize;
constexpr std::int64_t kChunk = 8192 * kBlock;  // elements at once: bounds the float32 temporaries

/// float32 [blocks, 256]; a short last block is filled up with zeros.
at::Tensor dequantized(const at::Tensor& codes, const at::Tensor& absmax, const at::Tensor& map) {
  const at::Tensor values = at::index_select(map, 0, codes.to(at::kInt));
  const std::int64_t padding = absmax.numel() * kBlock - codes.numel();
  return at::constant_pad_nd(values, {0, padding}).view({-1, kBlock}).mul_(absmax.unsqueeze(1));
}

/// `moment` [blocks, 256] into the codes [n] and absmax [blocks].
// NOLINTNEXTLINE(performance-unnecessary-value-param): their elements are written
void quantize(at::Tensor codes, at::Tensor absmax, const at::Tensor& moment, const at::Tensor& map) {
  const at::Tensor midpoints = map.slice(0, 0, 255).add(map.slice(0, 1, 256)).div_(2);
  const at::Tensor largest = std::get<0>(moment.abs().max(1));
  const at::Tensor divisor = largest.clamp_min(kMinAbsmax).unsqueeze(1);
  const at::Tensor fractions = moment.mul(divisor.reciprocal());
  absmax.copy_(largest);
  if (codes.numel() % kBlock != 0) {
    fractions.select(0, -1).copy_(moment.select(0, -1).div(divisor.select(0, -1)));
    absmax.slice(0, absmax.numel() - 1).copy_(divisor.select(0, -1));
  }
  codes.copy_(at::bucketize(fractions, midpoints, /*out_int32=*/true).view(-1).slice(0, 0, codes.numel()));
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): its elements are written
void update_chunk(at::Tensor parameters, const at::Tensor& gradients, const AdamW8BitState& state,
                  const AdamW8BitMaps& maps, const AdamW8BitStep& s) {
  const std::int64_t n = parameters.numel();
  at::Tensor m = dequantized(state.codes1, state.absmax1, maps.first_values);
  at::Tensor v = dequantized(state.codes2, state.absmax2, maps.second_values);
  at::Tensor m_flat = m.view(-1).slice(0, 0, n), v_flat = v.view(-1).slice(0, 0, n);
  const at::Tensor g = gradients.mul(s.gradient_factor);
  m_flat.mul_(s.beta1).add_(g, 1 - s.beta1);
  v_flat.mul_(s.beta2).addcmul_(g, g, 1 - s.beta2);
  const auto t = static_cast<double>(s.num_updates);
  const at::Tensor denominator = v_flat.sqrt().div_(std::sqrt(1 - std::pow(s.beta2, t))).add_(s.epsilon);
  parameters.mul_(1 - s.learning_rate * s.weight_decay);
  parameters.addcdiv_(m_flat, denominator, -s.learning_rate / (1 - std::pow(s.beta1, t)));
  quantize(state.codes1, state.absmax1, m, maps.first_values);
  quantize(state.codes2, state.absmax2, v, maps.second_values);
}

}  // namespace

namespace cuda {

void adamw8bit_in_place(at::Tensor& parameters, const at::Tensor& gradients, AdamW8BitState& state,
                        const AdamW8BitMaps& maps, const AdamW8BitStep& step) {
  for (std::int64_t begin = 0; begin < parameters.numel(); begin += kChunk) {
    const std::int64_t end = std::min(begin + kChunk, parameters.numel());
    const auto elements = [&](const at::Tensor& t) { return t.slice(0, begin, end); };
    const auto blocks = [&](const at::Tensor& t) { return t.slice(0, begin / kBlock, (end + kBlock - 1) / kBlock); };
    update_chunk(elements(parameters), elements(gradients),
                 {elements(state.codes1), elements(state.codes2), blocks(state.absmax1), blocks(state.absmax2)}, maps,
                 step);
  }
}

}  // namespace cuda
}  // namespace allreco::model::ops
