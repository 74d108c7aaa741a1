// One safetensors file, mapped and read, with a look at every byte of every tensor.
#include "model/checkpoint/safetensors.h"

#include "core/check.h"
#include "core/files.h"
#include "fuzz/target.h"

namespace allreco::fuzz {

namespace {

std::string content(const at::Tensor& tensor) {
  return core::sha256_of_bytes({static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes()});
}

}  // namespace

void safetensors(Input input) {
  const Directory directory;
  const auto path = directory.write("model.safetensors", as_safetensors(input));
  const model::SafetensorsFile mapped(path), read(path, model::FileAccess::read);
  core::require(mapped.names() == read.names(), "mapped or read, the names are the same");
  for (const std::string& name : mapped.names())
    core::require(content(mapped.tensor(name)) == content(read.tensor(name)), "mapped or read, the bytes are the same");
}

}  // namespace allreco::fuzz
