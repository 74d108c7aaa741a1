// Merging an adapter into a weight.
#pragma once
#include <ATen/core/Tensor.h>

#include "model/lora/lora.h"

namespace allreco::model {

/// W + scaling B A, and with DoRA its rows scaled to the magnitudes, as PEFT's merge_and_unload computes it; W itself
/// where the group is without `projection`. `weight` [out, in] in the dtype of the group's factors.
at::Tensor merged_weight(const at::Tensor& weight, const LoraGroup& group, Projection projection);

}  // namespace allreco::model
