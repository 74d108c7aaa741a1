// safetensors: memory-mapped reading and atomic writing (https://huggingface.co/docs/safetensors). Format: 8-byte
// little-endian header length, JSON, data.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
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

/// A tensor that a file is going to hold.
struct TensorHead {
  std::string name;
  at::ScalarType dtype = at::kFloat;
  std::vector<std::int64_t> shape;
  bool may_shrink = false;  // bytes [n] of which fewer may come: n is the most. Such tensors lie behind all others
  std::uint64_t num_bytes() const;
};

/// Writes one file tensor by tensor, in any order, without holding any. Byte-reproducible, and byte-equal to what the
/// safetensors library writes (but for tensors that may shrink): __metadata__ {"format":"pt", ...}, wider dtypes first
/// (so that every tensor is aligned), names in order within a dtype.
class SafetensorsWriter {
 public:
  /// `shown`: the path for messages.
  SafetensorsWriter(const std::filesystem::path& path, std::vector<TensorHead> tensors,
                    const std::map<std::string, std::string>& metadata, std::string shown);
  /// A contiguous CPU tensor of the announced dtype and shape, once each. UserError when the disk is full.
  void write(const std::string& name, const at::Tensor& tensor);
  /// The header. REQUIRES that every tensor was written. Does not sync.
  void finish();

 private:
  void put(std::uint64_t position, const void* data, std::uint64_t size);

  std::string shown_;
  std::ofstream stream_;
  std::uint64_t position_ = 0;
  std::map<std::string, std::string> metadata_;
  std::vector<TensorHead> tensors_;      // in the order of the file
  std::map<std::string, size_t> index_;  // by name, into tensors_
  std::vector<bool> written_;
  std::vector<std::uint64_t> begins_;  // behind the header
  std::uint64_t header_size_ = 0, end_of_shrinking_ = 0;
};

/// Writes contiguous CPU tensors so; atomic.
void write_safetensors(const std::filesystem::path& path, std::vector<NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace allreco::model
