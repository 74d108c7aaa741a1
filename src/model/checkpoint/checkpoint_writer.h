// CheckpointWriter: a Hugging Face checkpoint (model.safetensors, or shards with model.safetensors.index.json), written
// tensor by tensor without holding any.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/checkpoint/safetensors.h"

namespace allreco::model {

/// "5GB", "500MB", "200KB" (powers of ten, as huggingface_hub reads them) or bytes. UserError for anything else.
std::int64_t parse_shard_size(const std::string& key, const std::string& text);

class CheckpointWriter {
 public:
  /// Cuts the tensors, in the given order, as huggingface_hub does: a shard is closed where the next tensor would make
  /// it larger than `max_shard_size` bytes. Files are made in `directory`, which should appear whole later (see
  /// core/staging_directory.h); messages name `shown` instead.
  CheckpointWriter(const std::filesystem::path& directory, const std::string& shown,
                   const std::vector<TensorHead>& tensors, std::int64_t max_shard_size);
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  /// See SafetensorsWriter::write. A shard whose last tensor this is is finished and synced.
  void write(const std::string& name, const at::Tensor& tensor);
  /// The index, if there are several shards. REQUIRES that every tensor was written.
  void finish();

 private:
  struct Shard;
  void open(Shard& shard);

  std::filesystem::path directory_;
  std::string shown_;
  std::vector<Shard> shards_;
  std::map<std::string, size_t> shard_of_;  // by tensor
  std::int64_t total_size_ = 0;
};

}  // namespace allreco::model
