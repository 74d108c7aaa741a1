// LoRA factors that start from the weight they adapt, as PEFT computes them: PiSSA (arXiv:2404.02948) from its largest
// singular vectors, OLoRA (arXiv:2406.01775) from its QR decomposition. Legend: r rank, in/out features.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

#include "model/decoder/weights.h"
#include "model/lora/lora.h"

namespace allreco::model {

struct InitFactors {
  at::Tensor a;  // [r, in]
  at::Tensor b;  // [out, r]
};

/// pissa: scaling B A = U_r S_r V_r^T of W = U S V^T, with sqrt(S_r / scaling) in each factor; pissa_niter_N: the same
/// of torch.svd_lowrank(W, q = r, niter = N), whose random start is drawn from `key`; olora: A = R_r, B = Q_r of W = Q
/// R. `weight` [out, in] in float32 or float64; REQUIRES r <= its smaller side.
InitFactors init_factors(const at::Tensor& weight, const LoraConfig& config, std::int64_t r, double scaling,
                         std::uint64_t key);

/// Sets the layer's factors in store.parameters(), one projection at a time; a quantised one starts from its
/// dequantised weight. The frozen pair and the groups' factors stay as they are. REQUIRES
/// config().initializes_from_weight().
void init_layer_from_weights(LoraStore& store, const Weights& weights, std::int64_t layer, std::uint64_t seed);

}  // namespace allreco::model
