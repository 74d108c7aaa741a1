// WeightSource: the weights of a base, one at a time in the order of expected_tensors, as they are to be kept: from a
// directory or drawn for random:<shape>; converted or quantised on the way. Never more than one dense tensor is held.
// It knows nothing of ranks.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/checkpoint/quantization.h"
#include "model/checkpoint/safetensors.h"
#include "model/checkpoint/stored_weights.h"
#include "model/families/config.h"

namespace allreco::model {

/// The config that model_name_or_path has, and config.json itself; of random:<shape>, null.
struct BaseConfig {
  ModelConfig config;
  core::Json json;
};
BaseConfig read_base_config(const std::string& model_name_or_path);

class WeightSource {
 public:
  /// Checks names, shapes and dtypes from the headers, with load_base_model's errors. With FileAccess::map, tensors
  /// that are stored as they are kept are views of the files; with read, each byte is read once, and a file that is cut
  /// meanwhile is a UserError.
  WeightSource(const std::string& model_name_or_path, const std::string& dtype, const Quantization& quantization,
               FileAccess access);

  const BaseConfig& base() const { return base_; }
  at::ScalarType dtype() const { return dtype_; }                  // of activations and dense weights
  at::ScalarType compute_dtype() const { return compute_dtype_; }  // of products with NF4 weights
  const std::vector<StoredWeight>& stored() const { return stored_; }

  /// The next weight's parts, on the CPU.
  WeightParts next();
  /// BaseModel::fingerprint. REQUIRES that all weights have been read.
  std::string fingerprint();
  /// BaseModel::storage.
  std::string storage() const;
  /// Spent on quantising so far.
  double quantize_seconds() const { return quantize_seconds_; }

 private:
  /// How it is kept, checked.
  StoredWeight plan_of(const TensorSpec& spec, const Quantization& quantization) const;
  at::Tensor dense(const TensorSpec& spec);
  at::Tensor read(const std::string& name);
  void add_to_fingerprint(const std::string& name, const at::Tensor& tensor);

  BaseConfig base_;
  std::optional<Checkpoint> checkpoint_;  // none: drawn
  at::ScalarType dtype_ = at::kFloat, compute_dtype_ = at::kFloat;
  std::vector<StoredWeight> stored_;
  std::vector<std::string> skip_modules_;
  size_t num_read_ = 0;
  double quantize_seconds_ = 0;
  std::map<std::string, std::string> fingerprint_parts_;  // by tensor
};

}  // namespace allreco::model
