// PEFT adapter directories: adapter_config.json and adapter_model.safetensors, as PEFT reads and writes them.
#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "model/decoder/weights.h"
#include "model/lora/adapter_config.h"
#include "model/lora/lora.h"

namespace allreco::model {

/// Whether the directory's tensors are those of `config`, from the file's header: call it before a LoraStore is
/// allocated for a config that someone else wrote. load_adapter's errors.
void check_adapter(const std::filesystem::path& directory, const ModelConfig& model, const LoraConfig& config);

/// Copies adapter_model.safetensors into the store's parameters (any float dtype) and refreshes its compute copy.
/// UserError naming the tensor when one is missing, unexpected, of another shape, or holds NaN or infinity. A store
/// with a frozen pair takes both pairs from a file that save_adapter wrote of such a store.
void load_adapter(const std::filesystem::path& directory, LoraStore& store);

/// The adapter over `base`, in its compute dtype and on its device; null where `directory` is empty, the base alone.
std::unique_ptr<LoraStore> load_adapter(const std::filesystem::path& directory, const BaseModel& base);

/// What an adapter was trained over.
struct AdapterOrigin {
  std::string base_model_name_or_path;
  std::string base_model_storage = {};  // BaseModel::storage; empty: not said
};

/// Writes both files (fp32, PEFT's names in PEFT's order, target_modules sorted), each atomically. A frozen pair is
/// written as PEFT converts it, into plain LoRA of twice the ranks over the unchanged base. base_model_storage goes
/// into the metadata of the tensors' file, where PEFT does not look.
void save_adapter(const std::filesystem::path& directory, const LoraStore& store, const AdapterOrigin& origin);
/// The same of other `parameters` and another `frozen_pair` (or none) in the store's layout, such as copies of its own.
/// Reads no tensor of the store.
void save_adapter(const std::filesystem::path& directory, const LoraStore& store, const at::Tensor& parameters,
                  const at::Tensor& frozen_pair, const AdapterOrigin& origin);

/// SHA-256 over what the two files say of the function they are: LoRA's configuration, and name, dtype, shape and all
/// bytes of each tensor. It does not depend on the base's path or on metadata.
std::string adapter_fingerprint(const std::filesystem::path& directory);

/// How the base was kept when the adapter was trained (BaseModel::storage), as far as files tell: its own metadata, the
/// trainer_state.json of its checkpoint or of its run's last one, or a quantised directory at its
/// base_model_name_or_path. Empty: nothing tells.
std::string base_storage_of_adapter(const std::filesystem::path& directory);

}  // namespace allreco::model
