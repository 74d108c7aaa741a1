// AdamW with 8-bit moments as bitsandbytes' AdamW8bit computes it (Dettmers et al. 2022): both moments are kept as
// ops/blockwise8.h quantises them, in blocks of 256, the first by the signed dynamic map, the second by the unsigned
// one. For each element, with m and v dequantised and g = gradient_factor * gradient:
//   m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
//   p = (1 - lr wd) p - lr / (1 - b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + eps)
// and then m and v are quantised again; p has seen them before that. Sums of products are fused as in torch's vector
// kernels, on which bitsandbytes' CPU path rests, so that codes and absmax are the same to the bit.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

#include "model/ops/backends.h"
#include "model/ops/blockwise8.h"

namespace allreco::model::ops {

inline constexpr std::int64_t kAdamW8BitBlocksize = 256;

/// The maps of the two moments, and their values where the parameters are.
struct AdamW8BitMaps {
  explicit AdamW8BitMaps(at::Device device);
  Map8 first, second;
  at::Tensor first_values, second_values;  // float32 [256], on the device
};

/// The moments of n parameters. A state of zeros is the start.
struct AdamW8BitState {
  at::Tensor codes1, codes2;    // uint8 [n]
  at::Tensor absmax1, absmax2;  // float32 [blocks]; the last block may be short
};

/// One update's numbers.
struct AdamW8BitStep {
  double learning_rate = 0, weight_decay = 0;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  std::int64_t num_updates = 1;  // t: 1 in the first update
  double gradient_factor = 1;
};

/// Updates parameters (float32 [n], contiguous) and state in place. On the CPU the bits depend neither on the number of
/// threads nor on the instruction set; on a GPU they may differ by rounding.
void adamw8bit_in_place(at::Tensor& parameters, const at::Tensor& gradients, AdamW8BitState& state,
                        const AdamW8BitMaps& maps, const AdamW8BitStep& step);

ALLRECO_BOTH_BACKENDS(adamw8bit_in_place)

}  // namespace allreco::model::ops
