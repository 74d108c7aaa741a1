#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <tuple>

#include "core/check.h"
#include "core/files.h"
#include "model/safetensors.h"
#include "model/safetensors_dtypes.h"

namespace allreco::model {

namespace {

std::string header_of(const std::vector<NamedTensor>& tensors, const std::map<std::string, std::string>& metadata) {
  core::Json header = core::Json::object();
  header["__metadata__"] = {{"format", "pt"}};
  for (const auto& [key, value] : metadata) header["__metadata__"][key] = value;
  std::uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    core::require(!header.contains(name), "a tensor name is used twice");
    const std::uint64_t end = offset + tensor.nbytes();
    header[name] = {{"dtype", safetensors_name_of(tensor.scalar_type())},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

void write_bytes(std::ofstream& stream, const void* data, std::uint64_t size, const std::string& path) {
  if (size > 0) stream.write(static_cast<const char*>(data), static_cast<std::streamsize>(size));
  if (!stream) {
    core::user_error("cannot write {}: {}. Free some space or choose another directory", path, std::strerror(errno));
  }
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::vector<NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
  for (const NamedTensor& named : tensors) {
    core::require(named.tensor.is_cpu() && named.tensor.is_contiguous(), "only contiguous CPU tensors can be written");
  }
  std::sort(tensors.begin(), tensors.end(), [](const NamedTensor& a, const NamedTensor& b) {
    const size_t rank_a = safetensors_rank_of(a.tensor.scalar_type());
    const size_t rank_b = safetensors_rank_of(b.tensor.scalar_type());
    return std::tie(rank_a, a.name) < std::tie(rank_b, b.name);
  });
  const std::string header = header_of(tensors, metadata);
  const std::uint64_t header_size = header.size();
  core::write_atomically(path, [&](const std::filesystem::path& temporary) {
    std::ofstream stream(temporary, std::ios::binary | std::ios::trunc);
    write_bytes(stream, &header_size, sizeof(header_size), path.string());
    write_bytes(stream, header.data(), header.size(), path.string());
    for (const NamedTensor& named : tensors) {
      write_bytes(stream, named.tensor.const_data_ptr(), named.tensor.nbytes(), path.string());
    }
    stream.flush();
    write_bytes(stream, nullptr, 0, path.string());
  });
}

}  // namespace allreco::model
