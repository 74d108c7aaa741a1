#include "model/checkpoint/safetensors.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <optional>
#include <set>
#include <stdexcept>
#include <string_view>

#include "core/check.h"
#include "core/files.h"
#include "core/input_file.h"
#include "core/mapped_file.h"
#include "model/checkpoint/safetensors_dtypes.h"

namespace allreco::model {
namespace fs = std::filesystem;
using SortedJson = nlohmann::json;  // sorted objects: a header of a million names must not take quadratic time
using core::user_error;

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian and used in place");

namespace {

constexpr std::uint64_t kLargestHeader = 100'000'000;  // the safetensors library's own limit

/// The whole header, parsed; a name given twice would hide a tensor, so it is refused.
SortedJson parse_header(std::string_view text, const std::string& file) {
  if (core::nests_too_deeply(text)) user_error("{}: the header nests too deeply; this is no safetensors file", file);
  std::set<std::string> seen;
  const auto note_keys = [&](int depth, SortedJson::parse_event_t event, SortedJson& parsed) {
    if (depth == 1 && event == SortedJson::parse_event_t::key && !seen.insert(parsed.get<std::string>()).second) {
      user_error("{}: the header names {} twice; the file is damaged", file, parsed.dump());
    }
    return true;
  };
  SortedJson header;
  try {
    header = SortedJson::parse(text, note_keys);
  } catch (const SortedJson::exception& e) {
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

std::vector<std::int64_t> parse_shape(const SortedJson& value) {
  std::vector<std::int64_t> shape;
  if (!value.is_array()) throw std::invalid_argument("shape is no list");
  for (const SortedJson& extent : value) {
    if (!extent.is_number_unsigned() || extent.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) {
      throw std::invalid_argument("shape is no list of sizes");
    }
    shape.push_back(extent.get<std::int64_t>());
  }
  return shape;
}

}  // namespace

/// A file's bytes, read-only: read into a place of the caller's, or mapped and so shared with every process that maps
/// it.
class SafetensorsFile::Bytes {
 public:
  Bytes(const fs::path& path, FileAccess access) : file_(path) {
    if (access == FileAccess::map) mapped_.emplace(file_);
  }
  void read(std::uint64_t first_byte, std::uint64_t count, char* to) const { file_.read(first_byte, count, to); }
  /// Null with FileAccess::read.
  const char* mapped() const { return mapped_ ? mapped_->data() : nullptr; }
  std::uint64_t size() const { return file_.size(); }

 private:
  core::InputFile file_;
  std::optional<core::MappedFile> mapped_;
};

SafetensorsFile::SafetensorsFile(const fs::path& path, FileAccess access)
    : path_(path), bytes_(std::make_shared<const Bytes>(path, access)) {
  std::uint64_t header_size = 0;
  if (bytes_->size() < sizeof(header_size)) {
    user_error("{} has {} bytes and cannot be a safetensors file; copy it again", path.string(), bytes_->size());
  }
  bytes_->read(0, sizeof(header_size), reinterpret_cast<char*>(&header_size));
  if (header_size > kLargestHeader || header_size > bytes_->size() - sizeof(header_size)) {
    user_error("{}: the header claims {} bytes, the file has {}; it is truncated or no safetensors file", path.string(),
               header_size, bytes_->size());
  }
  std::string text(header_size, '\0');
  bytes_->read(sizeof(header_size), header_size, text.data());
  const SortedJson header = parse_header(text, path.string());
  const std::uint64_t data_begin = sizeof(header_size) + header_size;
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") {
      if (!value.is_object()) user_error("{}: __metadata__ is no JSON object; the file is damaged", path.string());
      metadata_ = value;
    } else {
      entries_.emplace(name, parse_entry(name, value, data_begin));
      names_.push_back(name);
    }
  }
  check_layout(data_begin);
}

SafetensorsFile::Entry SafetensorsFile::parse_entry(const std::string& name, const SortedJson& value,
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
    const SortedJson& offsets = value.at("data_offsets");
    if (offsets.size() != 2 || !offsets.at(0).is_number_unsigned() || !offsets.at(1).is_number_unsigned()) {
      refuse("data_offsets are no two positions");
    }
    entry.begin = offsets.at(0).get<std::uint64_t>();
    entry.end = offsets.at(1).get<std::uint64_t>();
  } catch (const SortedJson::exception& e) {
    refuse(e.what());
  } catch (const std::invalid_argument& e) {
    refuse(e.what());
  }
  const std::uint64_t data_size = bytes_->size() - data_begin;
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
  if (position != bytes_->size()) {
    user_error("{}: {} bytes after the last tensor; the file is damaged", path_.string(), bytes_->size() - position);
  }
}

bool SafetensorsFile::contains(const std::string& name) const { return entries_.contains(name); }

const SafetensorsFile::Entry& SafetensorsFile::entry_of(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) user_error("{} has no tensor {}", path_.string(), name);
  return found->second;
}

at::Tensor SafetensorsFile::tensor(const std::string& name) const {
  const Entry& entry = entry_of(name);
  const char* const data = bytes_->mapped() == nullptr ? nullptr : bytes_->mapped() + entry.begin;
  if (data == nullptr || reinterpret_cast<std::uintptr_t>(data) % c10::elementSize(entry.dtype) != 0) {
    at::Tensor copy = at::empty(entry.shape, entry.dtype);
    bytes_->read(entry.begin, entry.end - entry.begin, static_cast<char*>(copy.mutable_data_ptr()));
    return copy;
  }
  // from_blob wants a mutable pointer; a write into the read-only mapping would end the program.
  return at::from_blob(
      const_cast<char*>(data), entry.shape, [keep = bytes_](void*) {}, entry.dtype);
}

Checkpoint::Checkpoint(const fs::path& directory, FileAccess access) {
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
      core::require_plain_name(shard.get<std::string>(), index_path.string());
      shards.insert(shard.get<std::string>());
    }
  } else {
    user_error(
        "{} has neither model.safetensors nor model.safetensors.index.json; convert the checkpoint to safetensors",
        directory.string());
  }
  for (const std::string& shard : shards) {
    files_.emplace_back(directory / shard, access);
    for (const std::string& name : files_.back().names()) {
      const auto [place, added] = file_of_.emplace(name, files_.size() - 1);
      if (!added) user_error("{} and {} both hold {}", file_of(name).string(), files_.back().path().string(), name);
    }
  }
  for (const auto& [name, shard] : weight_map.items()) {
    if (!contains(name) || file_of(name).filename() != shard.get<std::string>()) {
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

const SafetensorsFile& Checkpoint::file_with(const std::string& name) const {
  const auto found = file_of_.find(name);
  if (found == file_of_.end()) user_error("{} has no tensor {}", files_.front().path().parent_path().string(), name);
  return files_[found->second];
}

fs::path Checkpoint::file_of(const std::string& name) const { return files_[file_of_.at(name)].path(); }

}  // namespace allreco::model
