// Which projections of which layers get LoRA factors, of what rank and scaling: PEFT's rules on the names of its
// modules (model.layers.0.self_attn.q_proj, ...).
#pragma once
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "model/decoder/projection.h"
#include "model/families/config.h"
#include "model/lora/lora_config.h"

namespace allreco::model {

struct LoraTarget {
  std::int64_t r = 0;
  double scaling = 1;
};
/// By projection; none: not targeted.
using LayerTargets = std::array<std::optional<LoraTarget>, kNumProjections>;

/// One entry a layer. UserError where PEFT would target something else than a projection or nothing at all; where an
/// entry, a layer or a pattern meets no module; and where two patterns give a module different values, since PEFT sorts
/// the patterns when it saves them and then takes the other one; and where a start from the weight asks for more ranks
/// than the weight has.
std::vector<LayerTargets> resolve_targets(const LoraConfig& config, const ModelConfig& model);

/// UserError unless `name` is the end of a projection's path: q_proj, mlp.up_proj, model.layers.0.mlp.up_proj.
void check_target_name(const std::string& name);
/// UserError unless `key` of rank_pattern or alpha_pattern is a regular expression.
void check_module_pattern(const std::string& option, const std::string& key);

}  // namespace allreco::model
