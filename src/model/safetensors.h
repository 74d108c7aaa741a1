// safetensors: memory-mapped reading and atomic writing (https://huggingface.co/docs/safetensors). Format: 8-byte
// little-endian header length, JSON, data.
#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/json.h"

namespace allreco::model {

/// map: tensors are views of the mapped file, shared with other processes through the page cache; a file that is cut
/// meanwhile ends the process. read: each tensor is a copy made by read calls, and a cut file is a UserError.
enum class FileAccess { map, read };

/// One file. Views are read-only and keep the mapping alive. Thread-safe.
class SafetensorsFile {
 public:
  /// UserError naming file and tensor when the header is truncated, malformed or lies (offsets outside the file, sizes
  /// that don't fit dtype and shape, overlaps, holes, names given twice) or when a dtype is not one of F64, F32, F16,
  /// BF16, I64, I32, I16, I8, U8, BOOL.
  explicit SafetensorsFile(const std::filesystem::path& path, FileAccess access = FileAccess::map);

  /// In the order of the data.
  const std::vector<std::string>& names() const { return names_; }
  bool contains(const std::string& name) const;
  /// A view of the file's bytes; a copy with FileAccess::read, or where the file puts an element across its alignment.
  /// UserError when there is no such tensor.
  at::Tensor tensor(const std::string& name) const;
  /// Known from the header, without touching the data.
  at::ScalarType dtype_of(const std::string& name) const { return entry_of(name).dtype; }
  const std::vector<std::int64_t>& shape_of(const std::string& name) const { return entry_of(name).shape; }
  const core::Json& metadata() const { return metadata_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  class Bytes;
  struct Entry {
    at::ScalarType dtype = at::kFloat;
    std::vector<std::int64_t> shape;
    std::uint64_t begin = 0, end = 0;  // in the file
  };
  Entry parse_entry(const std::string& name, const nlohmann::json& value, std::uint64_t data_begin) const;
  void check_layout(std::uint64_t data_begin);
  const Entry& entry_of(const std::string& name) const;

  std::filesystem::path path_;
  std::shared_ptr<const Bytes> bytes_;
  std::map<std::string, Entry> entries_;
  std::vector<std::string> names_;
  core::Json metadata_;
};

/// Several files that together hold a checkpoint: DIR/model.safetensors, or the shards that
/// DIR/model.safetensors.index.json names.
class Checkpoint {
 public:
  /// UserError when there is neither, or when index and shards disagree.
  explicit Checkpoint(const std::filesystem::path& directory, FileAccess access = FileAccess::map);
  std::vector<std::string> names() const;
  bool contains(const std::string& name) const;
  at::Tensor tensor(const std::string& name) const { return file_with(name).tensor(name); }
  at::ScalarType dtype_of(const std::string& name) const { return file_with(name).dtype_of(name); }
  const std::vector<std::int64_t>& shape_of(const std::string& name) const { return file_with(name).shape_of(name); }
  /// The file that holds it, for messages.
  std::filesystem::path file_of(const std::string& name) const;

 private:
  const SafetensorsFile& file_with(const std::string& name) const;

  std::vector<SafetensorsFile> files_;
  std::map<std::string, size_t> file_of_;
};

struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

/// Writes contiguous CPU tensors with __metadata__ {"format":"pt", ...}; atomic, byte-reproducible, and byte-equal to
/// what the safetensors library writes: wider dtypes first (so that every tensor is aligned), names in order within a
/// dtype.
void write_safetensors(const std::filesystem::path& path, std::vector<NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace allreco::model
