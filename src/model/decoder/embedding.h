// The look-up of token embeddings: the one place where a decoder's input starts.
#pragma once
#include <ATen/core/Tensor.h>

#include "model/families/config.h"

namespace allreco::model {

/// embedding [V, D], tokens int64 [T] on its device -> [T, D], scaled where the family does so; the scale is rounded to
/// the embedding's dtype first, as transformers does (Gemma3TextScaledWordEmbedding).
at::Tensor embed(const ModelConfig& config, const at::Tensor& embedding, const at::Tensor& tokens);

}  // namespace allreco::model
