// What a checkpoint must hold for a config, checked from its headers. All throw a UserError naming tensor and file.
#pragma once
#include <c10/core/ScalarType.h>

#include <optional>
#include <string>

#include "model/checkpoint/safetensors.h"
#include "model/decoder/weights.h"
#include "model/families/config.h"

namespace allreco::model {

inline constexpr const char* kEmbedding = "model.embed_tokens.weight";
inline constexpr const char* kHead = "lm_head.weight";

void check_directory(const std::string& model_name_or_path);

/// Names that must be there and names that must not.
void check_names(const Checkpoint& checkpoint, const ModelConfig& config, const std::string& directory);

/// A head that is tied to the embedding may be stored, too, but must be the same. Reads both tensors.
void check_tied_head(const Checkpoint& checkpoint, const ModelConfig& config);

/// Shape and kind of dtype.
void check_tensor(const Checkpoint& checkpoint, const TensorSpec& spec);

/// The option `dtype`; nothing for auto.
std::optional<at::ScalarType> parse_dtype(const std::string& dtype);

/// Of float64, float32, bfloat16 and float16, as Hugging Face writes it.
std::string dtype_name(at::ScalarType dtype);

/// The dtype to compute in; auto: what the embedding is stored in.
at::ScalarType choose_dtype(const Checkpoint& checkpoint, const std::string& directory, const std::string& dtype);

}  // namespace allreco::model
