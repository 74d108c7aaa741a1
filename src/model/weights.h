// The frozen base: every tensor of a decoder in the compute dtype. Tensors stored in that dtype are views of the mapped
// files (shared by the ranks of a node through the page cache); others are converted once while loading. On a GPU they
// are copies, made tensor by tensor from the mapped files.
#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "model/projection.h"

namespace allreco::model {

/// The weight of one frozen projection, [out, in]. The seam for quantised storage.
class FrozenLinear {
 public:
  FrozenLinear() = default;
  explicit FrozenLinear(at::Tensor weight) : weight_(std::move(weight)) {}
  /// [T, in] -> [T, out]: x W^T
  at::Tensor forward(const at::Tensor& x) const;
  /// [T, out] -> [T, in]: dy W
  at::Tensor backward(const at::Tensor& dy) const;
  /// dx += dy W
  void backward_add(const at::Tensor& dy, at::Tensor& dx) const;
  std::int64_t out_features() const { return weight_.size(0); }
  std::int64_t in_features() const { return weight_.size(1); }
  const at::Tensor& dense() const { return weight_; }

 private:
  at::Tensor weight_;
};

struct LayerWeights {
  at::Tensor input_norm;           // [D]
  at::Tensor post_attention_norm;  // [D]
  std::array<FrozenLinear, kNumProjections> projections;
  const FrozenLinear& operator[](Projection p) const { return projections[index_of(p)]; }
};

struct Weights {
  at::Tensor embedding;  // [V, D]
  std::vector<LayerWeights> layers;
  at::Tensor final_norm;  // [D]
  at::Tensor lm_head;     // [V, D]; the embedding itself when tied
  at::ScalarType dtype() const { return embedding.scalar_type(); }
  at::Device device() const { return embedding.device(); }
};

/// A tensor that a checkpoint of this config must hold.
struct TensorSpec {
  std::string name;  // Hugging Face's
  std::vector<std::int64_t> shape;
};

/// All of them, in the order of the computation. lm_head.weight only when it is not tied to the embedding.
std::vector<TensorSpec> expected_tensors(const ModelConfig& config);

/// Puts tensors, in the order of expected_tensors, into their places.
Weights assemble(const ModelConfig& config, const std::vector<at::Tensor>& tensors);

/// Loads a Hugging Face directory. `dtype`: the compute dtype (float32, bfloat16; float64 for tests). UserError naming
/// the tensor and the file when one is missing, unexpected, or of another shape. Known not to matter and accepted:
/// rotary_emb.inv_freq buffers of old checkpoints, and an lm_head.weight that equals the embedding it is tied to.
Weights load_weights(const std::string& directory, const ModelConfig& config, at::ScalarType dtype,
                     at::Device device = at::kCPU);

/// Random weights N(0, 0.02^2), norms 1: a shape without a checkpoint. Drawn per tensor from (seed, name) in float32
/// and then rounded, so every rank and run has the same model on one kind of CPU (vector units differ in the last
/// bits).
Weights random_weights(const ModelConfig& config, at::ScalarType dtype, std::uint64_t seed,
                       at::Device device = at::kCPU);

/// `random:<shape>`: a base that no file holds.
inline constexpr std::string_view kRandomPrefix = "random:";
inline bool is_random_base(const std::string& model_name_or_path) {
  return model_name_or_path.starts_with(kRandomPrefix);
}

struct BaseModel {
  ModelConfig config;
  Weights weights;
  std::string name;         // as given: goes into adapter_config.json as base_model_name_or_path
  std::string fingerprint;  // see model/fingerprint.h: resume checks it
};

/// `model_name_or_path`: a directory, or `random:<shape>`. `dtype`: auto (the checkpoint's; float16 checkpoints need an
/// explicit one), float32, bfloat16.
BaseModel load_base_model(const std::string& model_name_or_path, const std::string& dtype,
                          at::Device device = at::kCPU);

}  // namespace allreco::model
