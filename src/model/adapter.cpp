#include "model/adapter.h"

#include <ATen/core/grad_mode.h>
#include <fmt/ranges.h>

#include <set>

#include "core/check.h"
#include "core/files.h"
#include "model/safetensors.h"

namespace allreco::model {
namespace fs = std::filesystem;
using core::user_error;

namespace {

constexpr const char* kConfigName = "adapter_config.json";
constexpr const char* kWeightsName = "adapter_model.safetensors";

}  // namespace

void load_adapter(const fs::path& directory, LoraStore& store) {
  const SafetensorsFile file(directory / kWeightsName);
  std::set<std::string> known;
  for (const LoraEntry& entry : store.entries()) {  // all is checked before anything changes
    known.insert(entry.name);
    if (!file.contains(entry.name)) user_error("{} lacks {}", file.path().string(), entry.name);
    const at::Tensor tensor = file.tensor(entry.name);
    if (tensor.sizes() != at::IntArrayRef(entry.shape) || !tensor.is_floating_point()) {
      user_error("{}: {} is {} [{}], expected floating-point values [{}]", file.path().string(), entry.name,
                 c10::toString(tensor.scalar_type()), fmt::join(tensor.sizes(), ", "), fmt::join(entry.shape, ", "));
    }
  }
  for (const std::string& name : file.names()) {
    if (!known.contains(name)) user_error("{}: unexpected tensor {}", file.path().string(), name);
  }
  const at::NoGradGuard no_grad;
  for (const LoraEntry& entry : store.entries()) {
    LoraStore::view_of(store.parameters(), entry).copy_(file.tensor(entry.name));
  }
  store.refresh_compute_copy();
}

void save_adapter(const fs::path& directory, const LoraStore& store, const std::string& base_model_name_or_path) {
  save_adapter(directory, store, store.parameters(), base_model_name_or_path);
}

void save_adapter(const fs::path& directory, const LoraStore& store, const at::Tensor& parameters,
                  const std::string& base_model_name_or_path) {
  core::make_directory(directory);
  std::vector<NamedTensor> tensors;
  for (const LoraEntry& entry : store.entries()) {
    tensors.push_back({entry.name, LoraStore::view_of(parameters, entry).to(at::kCPU, at::kFloat).contiguous()});
  }
  write_safetensors(directory / kWeightsName, std::move(tensors));
  // PEFT writes no final newline.
  core::write_file_atomically(directory / kConfigName, adapter_config_text({store.config(), base_model_name_or_path}));
}

}  // namespace allreco::model
