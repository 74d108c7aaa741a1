// The tensors of one decoder layer: name, shape and place, once. Reading, random weights, export and LoRA's targets
// follow from it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "model/decoder/projection.h"
#include "model/families/config.h"

namespace allreco::model {

struct LayerTensor {
  enum class Kind { norm, projection, bias };

  std::string module;  // below "model.layers.N.": "self_attn.q_proj", "input_layernorm"
  Kind kind = Kind::norm;
  std::vector<std::int64_t> shape;
  Norm norm = Norm::input;                // of a norm
  Projection projection = Projection::q;  // of a projection or a bias

  /// "self_attn.q_proj.weight"
  std::string name() const { return module + (kind == Kind::bias ? ".bias" : ".weight"); }
};

/// In the order of the computation: the first norm, the projections, each with its bias, the other norms.
std::vector<LayerTensor> layer_tensors(const ModelConfig& config);

}  // namespace allreco::model
