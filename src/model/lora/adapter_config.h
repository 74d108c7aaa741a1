// adapter_config.json of PEFT 0.21.
#pragma once
#include <filesystem>
#include <string>

#include "model/lora/lora_config.h"

namespace allreco::model {

inline constexpr const char* kAdapterConfigFile = "adapter_config.json";

struct AdapterConfig {
  LoraConfig lora;
  std::string base_model_name_or_path;
};

/// Reads adapter_config.json. What this program does not support (bias, modules_to_save, ...) is a UserError naming the
/// key, never ignored.
AdapterConfig read_adapter_config(const std::filesystem::path& directory);

/// The file as PEFT writes it: all its keys, sorted, target_modules too.
std::string adapter_config_text(const AdapterConfig& config);

}  // namespace allreco::model
