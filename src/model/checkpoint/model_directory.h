// What belongs to a Hugging Face model directory beside its weights: config, tokenizer, licence.
#pragma once
#include <c10/core/ScalarType.h>

#include <filesystem>
#include <string>

#include "core/json.h"

namespace allreco::model {

/// UserError where `file`, which lies in `directory`, is a link out of it (out of models--ORG--NAME in Hugging Face's
/// cache), or to nothing: another file of this machine must not be published with a model.
void require_own_file(const std::filesystem::path& file, const std::filesystem::path& directory);

/// Copies tokenizer files, generation_config.json, chat templates and licences, synced; not weights, config.json or the
/// model card. UserError where one is no file of its own (see above) or no regular file. `shown`: the target for
/// messages.
void copy_companions(const std::filesystem::path& from, const std::filesystem::path& to, const std::string& shown);

/// config.json, with `dtype` under whichever of its names (dtype, torch_dtype) the base has it.
core::Json with_dtype(core::Json config, at::ScalarType dtype);

}  // namespace allreco::model
