// What of a model a GPU computes without a kernel of one pass, for those who want to know (`doctor`).
#pragma once
#include <string>
#include <vector>

#include "model/families/config.h"

namespace allreco::model {

/// A sentence each; empty: every op has its kernel. Norms, rotary embedding, activations, dropout and the loss have one
/// for every family in float32 and bfloat16; attention's is flash attention, with its conditions.
std::vector<std::string> plain_on_gpu(const ModelConfig& config);

}  // namespace allreco::model
