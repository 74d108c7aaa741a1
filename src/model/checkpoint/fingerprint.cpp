#include "model/checkpoint/fingerprint.h"

#include <fmt/ranges.h>

#include "core/files.h"

namespace allreco::model {

namespace {

constexpr size_t kBlockBytes = 4096;
constexpr size_t kNumBlocks = 16;

std::string sampled_hash(const at::Tensor& tensor) {
  const std::string_view bytes(static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes());
  if (bytes.size() <= kNumBlocks * kBlockBytes) return core::sha256_of_bytes(bytes);
  std::string sample;
  const size_t last = bytes.size() - kBlockBytes;
  for (size_t i = 0; i + 1 < kNumBlocks; ++i) sample += bytes.substr(last / (kNumBlocks - 1) * i, kBlockBytes);
  sample += bytes.substr(last);
  return core::sha256_of_bytes(sample);
}

}  // namespace

std::string fingerprint_of(const ModelConfig& config, const Checkpoint& checkpoint) {
  std::map<std::string, std::string> parts;
  for (const std::string& name : checkpoint.names()) parts.emplace(name, fingerprint_part(checkpoint.tensor(name)));
  return fingerprint_of(config, parts);
}

std::string fingerprint_part(const at::Tensor& tensor) {
  return fmt::format("{} [{}] {}", c10::toString(tensor.scalar_type()), fmt::join(tensor.sizes(), ","),
                     sampled_hash(tensor));
}

std::string fingerprint_of(const ModelConfig& config, const std::map<std::string, std::string>& part_of_tensor) {
  std::string text = to_json(config).dump() + "\n";
  for (const auto& [name, part] : part_of_tensor) text += fmt::format("{} {}\n", name, part);
  return core::sha256_of_bytes(text);
}

std::string fingerprint_of(const ModelConfig& config, std::uint64_t random_seed) {
  return core::sha256_of_bytes(fmt::format("{}\nrandom {}\n", to_json(config).dump(), random_seed));
}

}  // namespace allreco::model
