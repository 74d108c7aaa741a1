// Copies of golden checkpoints that a test may change before they are written.
#pragma once
#include <ATen/ops/empty.h>

#include <cstring>
#include <map>
#include <string>

#include "core/files.h"
#include "model/decoder/weights.h"
#include "model/golden.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::model::testing {

class Variant {
 public:
  explicit Variant(const std::string& model) : config(golden_json(model + "/config.json")) {
    const Checkpoint source(golden(model));
    for (const std::string& name : source.names()) tensors.emplace(name, source.tensor(name));
  }
  std::string write() const {
    core::write_json_file(directory_ / "config.json", config);
    std::vector<NamedTensor> list;
    for (const auto& [name, tensor] : tensors) list.push_back({name, tensor.contiguous()});
    write_safetensors(directory_ / "model.safetensors", list);
    return directory_.path().string();
  }
  BaseModel load(const std::string& dtype = "auto") const { return load_base_model(write(), dtype); }
  std::string refusal() const {
    return support::message_of([&] { load(); });
  }
  std::map<std::string, at::Tensor> tensors;
  core::Json config;

 private:
  support::TemporaryDirectory directory_;
};

inline std::string text_of(const at::Tensor& bytes) {
  return {static_cast<const char*>(bytes.const_data_ptr()), bytes.nbytes()};
}

inline at::Tensor bytes_of(const std::string& text) {
  at::Tensor bytes = at::empty({std::ssize(text)}, at::kByte);
  std::memcpy(bytes.mutable_data_ptr(), text.data(), text.size());
  return bytes;
}

}  // namespace allreco::model::testing
