// PEFT adapter directories: adapter_config.json and adapter_model.safetensors, as PEFT reads and writes them.
#pragma once
#include <filesystem>
#include <string>

#include "model/lora/adapter_config.h"
#include "model/lora/lora.h"

namespace allreco::model {

/// Whether the directory's tensors are those of `config`, from the file's header: call it before a LoraStore is
/// allocated for a config that someone else wrote. load_adapter's errors.
void check_adapter(const std::filesystem::path& directory, const ModelConfig& model, const LoraConfig& config);

/// Copies adapter_model.safetensors into the store's parameters (any float dtype) and refreshes its compute copy.
/// UserError naming the tensor when one is missing, unexpected or of another shape. A store with a frozen pair takes
/// both pairs from a file that save_adapter wrote of such a store.
void load_adapter(const std::filesystem::path& directory, LoraStore& store);

/// Writes both files (fp32, PEFT's names in PEFT's order, target_modules sorted), each atomically. A frozen pair is
/// written as PEFT converts it, into plain LoRA of twice the ranks over the unchanged base.
void save_adapter(const std::filesystem::path& directory, const LoraStore& store,
                  const std::string& base_model_name_or_path);
/// The same of other `parameters` and another `frozen_pair` (or none) in the store's layout, such as copies of its own.
/// Reads no tensor of the store.
void save_adapter(const std::filesystem::path& directory, const LoraStore& store, const at::Tensor& parameters,
                  const at::Tensor& frozen_pair, const std::string& base_model_name_or_path);

}  // namespace allreco::model
