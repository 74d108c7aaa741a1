#include "model/lora/adapter.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/isfinite.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "core/check.h"
#include "core/files.h"
#include "core/json.h"
#include "model/checkpoint/safetensors.h"

namespace allreco::model {
namespace fs = std::filesystem;
using core::user_error;

namespace {

constexpr const char* kWeightsName = "adapter_model.safetensors";
constexpr const char* kStorageKey = "base_model_storage";

std::vector<std::int64_t> written_shape(const LoraEntry& entry, bool has_frozen_pair) {
  std::vector<std::int64_t> shape = entry.shape;
  if (has_frozen_pair) shape[static_cast<size_t>(entry.r_dim())] *= 2;
  return shape;
}

/// Names, shapes and dtypes, from the file's header.
void check_tensors(const SafetensorsFile& file, const std::vector<LoraEntry>& entries, bool has_frozen_pair) {
  std::set<std::string> known;
  for (const LoraEntry& entry : entries) {
    known.insert(entry.name);
    if (!file.contains(entry.name)) user_error("{} lacks {}", file.path().string(), entry.name);
    const std::vector<std::int64_t>& found = file.shape_of(entry.name);
    const at::ScalarType dtype = file.dtype_of(entry.name);
    const std::vector<std::int64_t> shape = written_shape(entry, has_frozen_pair);
    if (found != shape || !c10::isFloatingType(dtype)) {
      user_error("{}: {} is {} [{}], expected floating-point values [{}]", file.path().string(), entry.name,
                 c10::toString(dtype), fmt::join(found, ", "), fmt::join(shape, ", "));
    }
  }
  for (const std::string& name : file.names()) {
    if (!known.contains(name)) user_error("{}: unexpected tensor {}", file.path().string(), name);
  }
}

void check_finite(const SafetensorsFile& file) {
  for (const std::string& name : file.names()) {
    if (!at::isfinite(file.tensor(name)).all().item<bool>()) {
      user_error("{}: {} holds NaN or infinity: the training that wrote it had diverged, or the file is damaged",
                 file.path().string(), name);
    }
  }
}

/// As PEFT converts a factor (LoraModel.subtract_mutated_init): [A; A0] or [B, -B0].
at::Tensor to_written(const at::Tensor& parameters, const at::Tensor& frozen_pair, const LoraEntry& entry) {
  const at::Tensor trained = LoraStore::view_of(parameters, entry).to(at::kCPU, at::kFloat);
  if (!frozen_pair.defined()) return trained.contiguous();
  const at::Tensor frozen = LoraStore::view_of(frozen_pair, entry).to(at::kCPU, at::kFloat);
  return at::cat({trained, entry.factor == LoraFactor::b ? -frozen : frozen}, entry.r_dim());
}

void from_written(const at::Tensor& written, const LoraEntry& entry, LoraStore& store) {
  const at::Tensor trained = LoraStore::view_of(store.parameters(), entry);
  if (!store.frozen_pair().defined()) {
    trained.copy_(written);
    return;
  }
  const auto halves = written.chunk(2, entry.r_dim());
  trained.copy_(halves[0]);
  LoraStore::view_of(store.frozen_pair(), entry).copy_(entry.factor == LoraFactor::b ? -halves[1] : halves[1]);
}

}  // namespace

void check_adapter(const fs::path& directory, const ModelConfig& model, const LoraConfig& config) {
  check_tensors(SafetensorsFile(directory / kWeightsName), LoraStore::entries_of(model, config),
                /*has_frozen_pair=*/false);
}

void load_adapter(const fs::path& directory, LoraStore& store) {
  const SafetensorsFile file(directory / kWeightsName);
  check_tensors(file, store.entries(), store.frozen_pair().defined());  // before anything changes
  check_finite(file);
  const at::NoGradGuard no_grad;
  for (const LoraEntry& entry : store.entries()) {
    from_written(file.tensor(entry.name), entry, store);
  }
  store.refresh_frozen_pair();
  store.refresh_compute_copy();
}

std::unique_ptr<LoraStore> load_adapter(const fs::path& directory, const BaseModel& base) {
  if (directory.empty()) return nullptr;
  const auto config = read_adapter_config(directory);
  check_adapter(directory, base.config, config.lora);
  auto store =
      std::make_unique<LoraStore>(base.config, config.lora, base.weights.dtype(), /*seed=*/0, base.weights.device());
  load_adapter(directory, *store);
  return store;
}

void save_adapter(const fs::path& directory, const LoraStore& store, const AdapterOrigin& origin) {
  save_adapter(directory, store, store.parameters(), store.frozen_pair(), origin);
}

void save_adapter(const fs::path& directory, const LoraStore& store, const at::Tensor& parameters,
                  const at::Tensor& frozen_pair, const AdapterOrigin& origin) {
  core::make_directory(directory);
  std::vector<NamedTensor> tensors;
  for (const LoraEntry& entry : store.entries()) {
    tensors.push_back({entry.name, to_written(parameters, frozen_pair, entry)});
  }
  std::map<std::string, std::string> metadata;
  if (!origin.base_model_storage.empty()) metadata[kStorageKey] = origin.base_model_storage;
  write_safetensors(directory / kWeightsName, std::move(tensors), metadata);
  // PEFT writes no final newline.
  core::write_file_atomically(directory / kAdapterConfigFile,
                              adapter_config_text({as_plain_lora(store.config()), origin.base_model_name_or_path}));
}

std::string adapter_fingerprint(const fs::path& directory) {
  const SafetensorsFile file(directory / kWeightsName);
  std::vector<std::string> names = file.names();
  std::sort(names.begin(), names.end());
  std::string text = adapter_config_text({read_adapter_config(directory).lora, /*base_model_name_or_path=*/""});
  for (const std::string& name : names) {
    const at::Tensor tensor = file.tensor(name).contiguous();
    const std::string_view bytes(static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes());
    text += fmt::format("\n{} {} [{}] {}", name, c10::toString(tensor.scalar_type()), fmt::join(tensor.sizes(), ","),
                        core::sha256_of_bytes(bytes));
  }
  return core::sha256_of_bytes(text);
}

std::string base_storage_of_adapter(const fs::path& directory) {
  const SafetensorsFile file(directory / kWeightsName);
  const core::Json& metadata = file.metadata();
  if (metadata.contains(kStorageKey) && metadata[kStorageKey].is_string()) return metadata[kStorageKey];
  const core::Json::json_pointer in_state("/identity/base_model_storage");
  for (const fs::path& path : {directory / "trainer_state.json", directory / "last" / "trainer_state.json"}) {
    std::error_code error;
    if (!fs::exists(path, error)) continue;
    const core::Json state = core::read_json_file(path);
    if (state.contains(in_state) && state[in_state].is_string()) return state[in_state];
  }
  const fs::path base = fs::path(read_adapter_config(directory).base_model_name_or_path) / "config.json";
  std::error_code error;
  const bool holds_nf4 = fs::exists(base, error) && core::read_json_file(base).contains("quantization_config");
  return holds_nf4 ? "nf4" : "";
}

}  // namespace allreco::model
