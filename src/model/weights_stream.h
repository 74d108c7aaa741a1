// A base that passes by tensor by tensor, from one reader to many ranks: where each tensor goes in one buffer, and the
// reader itself. Nothing here knows how the bytes travel.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/safetensors.h"
#include "model/weights.h"

namespace allreco::model {

/// Where the tensors of expected_tensors lie in one buffer, all in the compute dtype, each at a multiple of 64 bytes.
struct WeightLayout {
  at::ScalarType dtype = at::kFloat;
  std::vector<TensorSpec> specs;
  std::vector<std::int64_t> first_bytes;  // one a spec
  std::int64_t num_bytes = 0;
};
WeightLayout weight_layout(const ModelConfig& config, at::ScalarType dtype);

/// Reads a checkpoint directory from first to last, each byte once, with read calls: a file that is cut meanwhile or a
/// disk that fails is a UserError.
class WeightsStream {
 public:
  /// Checks names, shapes and dtypes from the headers, with load_base_model's errors.
  WeightsStream(const std::string& directory, const std::string& dtype);

  const core::Json& config_json() const { return config_json_; }
  at::ScalarType dtype() const { return dtype_; }  // the compute dtype
  /// The next tensor of expected_tensors, on the CPU in the compute dtype.
  at::Tensor next();
  /// BaseModel::fingerprint. REQUIRES that all tensors have been read.
  std::string fingerprint();

 private:
  at::Tensor read(const std::string& name);

  std::string directory_;
  core::Json config_json_;
  ModelConfig config_;
  Checkpoint checkpoint_;
  at::ScalarType dtype_;
  std::vector<TensorSpec> specs_;
  size_t num_read_ = 0;
  std::map<std::string, std::string> fingerprint_parts_;  // by tensor
};

}  // namespace allreco::model
