#include <algorithm>
#include <cerrno>
#include <cstring>
#include <tuple>

#include "core/check.h"
#include "core/files.h"
#include "model/checkpoint/safetensors.h"
#include "model/checkpoint/safetensors_dtypes.h"

namespace allreco::model {

namespace {

constexpr std::uint64_t kSizeOfLength = 8;  // the header's length stands before it

/// Padded to a multiple of 8 bytes. `begins`: of the tensors, behind the header.
std::string header_of(const std::vector<TensorHead>& tensors, const std::vector<std::uint64_t>& begins,
                      const std::map<std::string, std::string>& metadata) {
  core::Json header = core::Json::object();
  header["__metadata__"] = {{"format", "pt"}};
  for (const auto& [key, value] : metadata) header["__metadata__"][key] = value;
  for (size_t i = 0; i < tensors.size(); ++i) {
    header[tensors[i].name] = {{"dtype", safetensors_name_of(tensors[i].dtype)},
                               {"shape", tensors[i].shape},
                               {"data_offsets", {begins[i], begins[i] + tensors[i].num_bytes()}}};
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

void sort_for_file(std::vector<TensorHead>& tensors) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorHead& a, const TensorHead& b) {
    const size_t order_a = safetensors_order_of(a.dtype), order_b = safetensors_order_of(b.dtype);
    return std::tie(a.may_shrink, order_a, a.name) < std::tie(b.may_shrink, order_b, b.name);
  });
}

}  // namespace

std::uint64_t TensorHead::num_bytes() const {
  std::uint64_t bytes = c10::elementSize(dtype);
  for (const std::int64_t extent : shape) bytes *= static_cast<std::uint64_t>(extent);
  return bytes;
}

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path, std::vector<TensorHead> tensors,
                                     const std::map<std::string, std::string>& metadata, std::string shown)
    : shown_(std::move(shown)),
      stream_(path, std::ios::binary | std::ios::trunc),
      metadata_(metadata),
      tensors_(std::move(tensors)),
      written_(tensors_.size()) {
  sort_for_file(tensors_);
  std::uint64_t begin = 0;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    core::require(index_.emplace(tensors_[i].name, i).second, "a tensor name is used twice");
    core::require(!tensors_[i].may_shrink || tensors_[i].dtype == at::kByte, "only bytes may shrink");
    begins_.push_back(begin);
    if (!tensors_[i].may_shrink) end_of_shrinking_ = begin + tensors_[i].num_bytes();
    begin += tensors_[i].num_bytes();
  }
  header_size_ = header_of(tensors_, begins_, metadata_).size();  // the longest: what shrinks makes shorter numbers
}

void SafetensorsWriter::put(std::uint64_t position, const void* data, std::uint64_t size) {
  if (position != position_) stream_.seekp(static_cast<std::streamoff>(position));
  if (size > 0) stream_.write(static_cast<const char*>(data), static_cast<std::streamsize>(size));
  position_ = position + size;
  if (!stream_) {
    core::user_error("cannot write {}: {}. Free some space or choose another directory", shown_, std::strerror(errno));
  }
}

void SafetensorsWriter::write(const std::string& name, const at::Tensor& tensor) {
  core::require(tensor.is_cpu() && tensor.is_contiguous(), "only contiguous CPU tensors can be written");
  const auto found = index_.find(name);
  if (found == index_.end() || written_[found->second]) core::fault("{}: no place for tensor {}", shown_, name);
  const size_t i = found->second;
  TensorHead& head = tensors_[i];
  const bool fits = head.may_shrink ? tensor.dim() == 1 && tensor.nbytes() <= head.num_bytes()
                                    : tensor.sizes() == at::IntArrayRef(head.shape);
  if (!fits || tensor.scalar_type() != head.dtype) core::fault("{}: tensor {} is not what was announced", shown_, name);
  if (head.may_shrink) {
    head.shape = {tensor.size(0)};
    begins_[i] = end_of_shrinking_;
    end_of_shrinking_ += tensor.nbytes();
  }
  put(kSizeOfLength + header_size_ + begins_[i], tensor.const_data_ptr(), tensor.nbytes());
  written_[i] = true;
}

void SafetensorsWriter::finish() {
  core::require(std::find(written_.begin(), written_.end(), false) == written_.end(), "a tensor was not written");
  std::string header = header_of(tensors_, begins_, metadata_);
  core::require(header.size() <= header_size_, "a safetensors header grew");
  header.append(header_size_ - header.size(), ' ');
  put(0, &header_size_, kSizeOfLength);
  put(kSizeOfLength, header.data(), header.size());
  stream_.flush();
  put(position_, nullptr, 0);  // what flushing met
}

void write_safetensors(const std::filesystem::path& path, std::vector<NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<TensorHead> heads;
  for (const auto& [name, tensor] : tensors) heads.push_back({name, tensor.scalar_type(), tensor.sizes().vec()});
  core::write_atomically(path, [&](const std::filesystem::path& temporary) {
    SafetensorsWriter writer(temporary, heads, metadata, path.string());
    for (const auto& [name, tensor] : tensors) writer.write(name, tensor);
    writer.finish();
  });
}

}  // namespace allreco::model
