#include "model/safetensors.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <fcntl.h>
#include <fmt/ranges.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <optional>
#include <set>
#include <stdexcept>
#include <string_view>

#include "core/check.h"
#include "model/safetensors_dtypes.h"

namespace allreco::model {
namespace fs = std::filesystem;
using Json = nlohmann::json;  // sorted objects: a header of a million names must not take quadratic time
using core::user_error;

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian and used in place");

namespace {

constexpr std::uint64_t kLargestHeader = 100'000'000;  // the safetensors library's own limit

/// The whole header, parsed; a name given twice would hide a tensor, so it is refused.
Json parse_header(std::string_view text, const std::string& file) {
  std::set<std::string> seen;
  const auto note_keys = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth == 1 && event == Json::parse_event_t::key && !seen.insert(parsed.get<std::string>()).second) {
      user_error("{}: the header names {} twice; the file is damaged", file, parsed.dump());
    }
    return true;
  };
  Json header;
  try {
    header = Json::parse(text, note_keys);
  } catch (const Json::exception& e) {
    user_error("{}: the header is not valid JSON ({}); the file is damaged or no safetensors file", file, e.what());
  }
  if (!header.is_object()) user_error("{}: the header is no JSON object; this is no safetensors file", file);
  return header;
}

/// Number of bytes, or nothing when the shape is malformed or too large to exist.
std::optional<std::uint64_t> bytes_of(const std::vector<std::int64_t>& shape, std::uint64_t item_size) {
  std::uint64_t bytes = item_size;
  for (const std::int64_t extent : shape) {
    if (__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(extent), &bytes)) return std::nullopt;
  }
  return bytes;
}

std::vector<std::int64_t> parse_shape(const Json& value) {
  std::vector<std::int64_t> shape;
  if (!value.is_array()) throw std::invalid_argument("shape is no list");
  for (const Json& extent : value) {
    if (!extent.is_number_unsigned() || extent.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) {
      throw std::invalid_argument("shape is no list of sizes");
    }
    shape.push_back(extent.get<std::int64_t>());
  }
  return shape;
}

}  // namespace

/// A file's bytes, read-only and shared with every process that maps it.
class SafetensorsFile::Mapping {
 public:
  explicit Mapping(const fs::path& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) user_error("cannot open {}: {}", path.string(), std::strerror(errno));
    struct stat status {};
    const bool regular = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    if (regular && status.st_size > 0) {
      size_ = static_cast<std::uint64_t>(status.st_size);
      void* const address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, fd, 0);
      data_ = address == MAP_FAILED ? nullptr : static_cast<const char*>(address);
    }
    const int error = errno;
    ::close(fd);
    if (!regular) user_error("cannot read {}: it is no regular file", path.string());
    if (size_ > 0 && data_ == nullptr) core::fault("cannot map {}: {}", path.string(), std::strerror(error));
  }
  ~Mapping() {
    if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  const char* data() const { return data_; }
  std::uint64_t size() const { return size_; }

 private:
  const char* data_ = nullptr;
  std::uint64_t size_ = 0;
};

SafetensorsFile::SafetensorsFile(const fs::path& path) : path_(path), mapping_(std::make_shared<const Mapping>(path)) {
  std::uint64_t header_size = 0;
  if (mapping_->size() < sizeof(header_size)) {
    user_error("{} has {} bytes and cannot be a safetensors file; copy it again", path.string(), mapping_->size());
  }
  std::memcpy(&header_size, mapping_->data(), sizeof(header_size));
  if (header_size > kLargestHeader || header_size > mapping_->size() - sizeof(header_size)) {
    user_error("{}: the header claims {} bytes, the file has {}; it is truncated or no safetensors file", path.string(),
               header_size, mapping_->size());
  }
  const Json header = parse_header({mapping_->data() + sizeof(header_size), header_size}, path.string());
  const std::uint64_t data_begin = sizeof(header_size) + header_size;
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") {
      metadata_ = value;
    } else {
      entries_.emplace(name, parse_entry(name, value, data_begin));
      names_.push_back(name);
    }
  }
  check_layout(data_begin);
}

SafetensorsFile::Entry SafetensorsFile::parse_entry(const std::string& name, const Json& value,
                                                    std::uint64_t data_begin) const {
  const auto refuse = [&](const std::string& what) {
    user_error("{}: tensor {}: {}; the file is damaged or of an unsupported kind", path_.string(), name, what);
  };
  Entry entry;
  try {
    const auto dtype_name = value.at("dtype").get<std::string>();
    const auto dtype = safetensors_dtype_from_name(dtype_name);
    if (!dtype) refuse(fmt::format("dtype {} is not supported", dtype_name));
    entry.dtype = *dtype;
    entry.shape = parse_shape(value.at("shape"));
    const Json& offsets = value.at("data_offsets");
    if (offsets.size() != 2 || !offsets.at(0).is_number_unsigned() || !offsets.at(1).is_number_unsigned()) {
      refuse("data_offsets are no two positions");
    }
    entry.begin = offsets.at(0).get<std::uint64_t>();
    entry.end = offsets.at(1).get<std::uint64_t>();
  } catch (const Json::exception& e) {
    refuse(e.what());
  } catch (const std::invalid_argument& e) {
    refuse(e.what());
  }
  const std::uint64_t data_size = mapping_->size() - data_begin;
  if (entry.begin > entry.end || entry.end > data_size) {
    refuse(fmt::format("data_offsets [{}, {}] lie outside the file's {} bytes of data", entry.begin, entry.end,
                       data_size));
  }
  if (bytes_of(entry.shape, c10::elementSize(entry.dtype)) != entry.end - entry.begin) {
    refuse(fmt::format("shape [{}] does not fit its {} bytes", fmt::join(entry.shape, ", "), entry.end - entry.begin));
  }
  entry.begin += data_begin;
  entry.end += data_begin;
  return entry;
}

/// Tensors must cover the data without holes or overlaps. Puts names_ into the order of the data.
void SafetensorsFile::check_layout(std::uint64_t data_begin) {
  const auto range = [&](const std::string& name) {
    const Entry& entry = entries_.at(name);
    return std::pair(entry.begin, entry.end);
  };
  std::stable_sort(names_.begin(), names_.end(), [&](const auto& a, const auto& b) { return range(a) < range(b); });
  std::uint64_t position = data_begin;
  for (const std::string& name : names_) {
    const auto [begin, end] = range(name);
    if (begin != position) {
      user_error("{}: tensor {} {} other data; the file is damaged", path_.string(), name,
                 begin < position ? "overlaps" : "leaves a hole before");
    }
    position = end;
  }
  if (position != mapping_->size()) {
    user_error("{}: {} bytes after the last tensor; the file is damaged", path_.string(), mapping_->size() - position);
  }
}

bool SafetensorsFile::contains(const std::string& name) const { return entries_.contains(name); }

at::Tensor SafetensorsFile::tensor(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) user_error("{} has no tensor {}", path_.string(), name);
  const Entry& entry = found->second;
  const char* const data = mapping_->data() + entry.begin;
  if (reinterpret_cast<std::uintptr_t>(data) % c10::elementSize(entry.dtype) != 0) {
    at::Tensor copy = at::empty(entry.shape, entry.dtype);
    if (copy.numel() > 0) std::memcpy(copy.mutable_data_ptr(), data, entry.end - entry.begin);
    return copy;
  }
  // from_blob wants a mutable pointer; a write into the read-only mapping would end the program.
  return at::from_blob(
      const_cast<char*>(data), entry.shape, [keep = mapping_](void*) {}, entry.dtype);
}

Checkpoint::Checkpoint(const fs::path& directory) {
  const fs::path single = directory / "model.safetensors", index_path = directory / "model.safetensors.index.json";
  std::set<std::string> shards;
  core::Json weight_map = core::Json::object();
  if (fs::exists(single)) {
    shards.insert(single.filename());
  } else if (fs::exists(index_path)) {
    const core::Json index = core::read_json_file(index_path);
    if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
      user_error("{} has no weight_map", index_path.string());
    }
    weight_map = index["weight_map"];
    for (const auto& [name, shard] : weight_map.items()) {
      if (!shard.is_string()) user_error("{}: the shard of {} is no file name", index_path.string(), name);
      shards.insert(shard.get<std::string>());
    }
  } else {
    user_error(
        "{} has neither model.safetensors nor model.safetensors.index.json; convert the checkpoint to safetensors",
        directory.string());
  }
  for (const std::string& shard : shards) {
    files_.emplace_back(directory / shard);
    for (const std::string& name : files_.back().names()) {
      const auto [place, added] = file_of_.emplace(name, files_.size() - 1);
      if (!added) user_error("{} and {} both hold {}", file_of(name).string(), files_.back().path().string(), name);
    }
  }
  for (const auto& [name, shard] : weight_map.items()) {
    if (!contains(name) || file_of(name).filename() != fs::path(shard.get<std::string>()).filename()) {
      user_error("{} says that {} is in {}, but it is not", index_path.string(), name, shard.get<std::string>());
    }
  }
}

std::vector<std::string> Checkpoint::names() const {
  std::vector<std::string> names;
  for (const SafetensorsFile& file : files_) names.insert(names.end(), file.names().begin(), file.names().end());
  return names;
}

bool Checkpoint::contains(const std::string& name) const { return file_of_.contains(name); }

at::Tensor Checkpoint::tensor(const std::string& name) const {
  const auto found = file_of_.find(name);
  if (found == file_of_.end()) user_error("{} has no tensor {}", files_.front().path().parent_path().string(), name);
  return files_[found->second].tensor(name);
}

fs::path Checkpoint::file_of(const std::string& name) const { return files_[file_of_.at(name)].path(); }

}  // namespace allreco::model
