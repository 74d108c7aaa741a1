// safetensors: memory-mapped reading and atomic writing (https://huggingface.co/docs/safetensors). Format: 8-byte little-endian header length, JSON, data.
#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/json.h"

namespace allreco::model {

/// One mapped file. Tensors are views of the mapping: read-only, valid as long as any of them lives. Thread-safe.
class SafetensorsFile {
 public:
  /// UserError naming file and tensor when the header is truncated, malformed or lies (offsets outside the file, sizes that don't fit dtype and shape, overlaps).
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::vector<std::string>& names() const { return names_; }
  bool contains(const std::string& name) const;
  /// A view [shape] of the file's bytes. UserError when there is no such tensor or its dtype is unknown to torch.
  at::Tensor tensor(const std::string& name) const;
  const core::Json& metadata() const { return metadata_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  struct Mapping;
  struct Entry {
    at::ScalarType dtype;
    std::vector<std::int64_t> shape;
    std::uint64_t begin = 0, end = 0;
  };
  std::filesystem::path path_;
  std::shared_ptr<Mapping> mapping_;
  std::map<std::string, Entry> entries_;
  std::vector<std::string> names_;
  core::Json metadata_;
};

/// Several files that together hold a checkpoint: DIR/model.safetensors, or the shards that DIR/model.safetensors.index.json names.
class Checkpoint {
 public:
  explicit Checkpoint(const std::filesystem::path& directory);
  std::vector<std::string> names() const;
  bool contains(const std::string& name) const;
  at::Tensor tensor(const std::string& name) const;
  /// The file that holds it, for messages.
  std::filesystem::path file_of(const std::string& name) const;

 private:
  std::vector<SafetensorsFile> files_;
  std::map<std::string, size_t> file_of_;
};

struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

/// Writes contiguous CPU tensors in this order with __metadata__ {"format":"pt", ...}; atomic, byte-reproducible.
void write_safetensors(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace allreco::model
