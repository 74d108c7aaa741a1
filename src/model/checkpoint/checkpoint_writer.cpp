#include "model/checkpoint/checkpoint_writer.h"

#include <fmt/core.h>

#include <array>
#include <charconv>

#include "core/check.h"
#include "core/files.h"
#include "core/interrupt.h"
#include "core/json.h"

namespace allreco::model {

struct CheckpointWriter::Shard {
  std::string file;
  std::vector<TensorHead> tensors;
  std::unique_ptr<SafetensorsWriter> writer;  // while it is open
  size_t num_written = 0;
};

std::int64_t parse_shard_size(const std::string& key, const std::string& text) {
  constexpr std::array<std::pair<const char*, std::int64_t>, 5> kUnits{
      {{"TB", 1'000'000'000'000}, {"GB", 1'000'000'000}, {"MB", 1'000'000}, {"KB", 1'000}, {"", 1}}};
  std::int64_t count = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  for (const auto& [unit, bytes] : kUnits) {
    const bool is_unit = std::string_view(rest, text.data() + text.size()) == unit;
    if (error == std::errc() && is_unit && count > 0 && count <= (std::int64_t{1} << 62) / bytes) return count * bytes;
  }
  core::user_error("{} = {} is no size, expected a number above 0 with KB, MB, GB or TB, such as 5GB", key, text);
}

CheckpointWriter::CheckpointWriter(const std::filesystem::path& directory, const std::string& shown,
                                   const std::vector<TensorHead>& tensors, std::int64_t max_shard_size)
    : directory_(directory), shown_(shown) {
  std::int64_t size = 0;
  for (const TensorHead& tensor : tensors) {
    const auto bytes = static_cast<std::int64_t>(tensor.num_bytes());
    if (shards_.empty() || size + bytes > max_shard_size) {
      shards_.emplace_back();
      size = 0;
    }
    shards_.back().tensors.push_back(tensor);
    core::require(shard_of_.emplace(tensor.name, shards_.size() - 1).second, "a tensor name is used twice");
    size += bytes;
  }
  for (size_t i = 0; i < shards_.size(); ++i) {
    shards_[i].file = shards_.size() == 1 ? "model.safetensors"
                                          : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards_.size());
  }
}

CheckpointWriter::~CheckpointWriter() = default;

void CheckpointWriter::open(Shard& shard) {
  const std::string shown = (std::filesystem::path(shown_) / shard.file).string();
  shard.writer = std::make_unique<SafetensorsWriter>(directory_ / shard.file, shard.tensors,
                                                     std::map<std::string, std::string>(), shown);
}

void CheckpointWriter::write(const std::string& name, const at::Tensor& tensor) {
  core::throw_if_interrupted();
  const auto found = shard_of_.find(name);
  if (found == shard_of_.end()) core::fault("{}: no place for tensor {}", shown_, name);
  Shard& shard = shards_[found->second];
  if (!shard.writer) open(shard);
  shard.writer->write(name, tensor);
  total_size_ += static_cast<std::int64_t>(tensor.nbytes());
  if (++shard.num_written < shard.tensors.size()) return;
  shard.writer->finish();
  shard.writer.reset();
  core::sync_path(directory_ / shard.file);
}

void CheckpointWriter::finish() {
  core::Json weight_map = core::Json::object();
  for (const auto& [name, shard] : shard_of_) {
    core::require(shards_[shard].num_written == shards_[shard].tensors.size(), "a tensor was not written");
    weight_map[name] = shards_[shard].file;
  }
  if (shards_.size() == 1) return;
  const core::Json index{{"metadata", {{"total_size", total_size_}}}, {"weight_map", weight_map}};
  core::write_file_atomically(directory_ / "model.safetensors.index.json", index.dump(2) + "\n");
}

}  // namespace allreco::model
