// target_modules of a PEFT adapter, which names modules, paths, or paths in every layer.
#pragma once
#include <string>
#include <vector>

#include "core/json.h"

namespace allreco::model {

/// The names of the targeted projections: from "all-linear", a list of names (q_proj), or the list of full paths
/// (model.layers.0.self_attn.q_proj, ...) that PEFT writes for adapters made with all-linear. UserError, naming `file`,
/// for a regular expression, for modules that are no projection of a decoder layer, and for layers that differ from one
/// another.
std::vector<std::string> read_target_modules(const core::Json& value, const std::string& file);

}  // namespace allreco::model
