// The frozen base: every tensor of a decoder in the compute dtype, or projections in NF4. Tensors stored so are views
// of the mapped files (shared by the ranks of a node through the page cache); others are converted once while loading.
// On a GPU they are copies, made tensor by tensor.
#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "model/decoder/frozen_linear.h"
#include "model/decoder/layer_tensors.h"
#include "model/decoder/projection.h"
#include "model/families/config.h"

namespace allreco::model {

struct LayerWeights {
  std::array<at::Tensor, kNumNorms> norms;  // [D], of heads [E]; undefined: the family has none
  std::array<FrozenLinear, kNumProjections> projections;
  const at::Tensor& operator[](Norm n) const { return norms[index_of(n)]; }
  const FrozenLinear& operator[](Projection p) const { return projections[index_of(p)]; }

  /// A norm or a bias.
  void put(const LayerTensor& place, at::Tensor tensor);
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
  double initial_value = 1;  // of a vector's elements in random weights
  /// Of a decoder layer: what quantisation applies to, and LoRA.
  bool is_projection() const { return shape.size() == 2 && name.starts_with("model.layers."); }
};

/// All of them, in the order of the computation. lm_head.weight only when it is not tied to the embedding.
std::vector<TensorSpec> expected_tensors(const ModelConfig& config);

/// Random weights N(0, 0.02^2), norms the identity, biases 0: a shape without a checkpoint. Drawn per tensor from
/// (seed, name) in float32 and then rounded, so every rank and run has the same model on one kind of CPU (vector units
/// differ in the last bits).
Weights random_weights(const ModelConfig& config, at::ScalarType dtype, std::uint64_t seed,
                       at::Device device = at::kCPU);
/// One of them.
at::Tensor random_weight(const TensorSpec& spec, at::ScalarType dtype, std::uint64_t seed);

/// `random:<shape>`: a base that no file holds.
inline constexpr std::string_view kRandomPrefix = "random:";
inline constexpr std::uint64_t kRandomBaseSeed = 0;
inline bool is_random_base(const std::string& model_name_or_path) {
  return model_name_or_path.starts_with(kRandomPrefix);
}

struct BaseModel {
  ModelConfig config;
  Weights weights;
  std::string name;               // as given: goes into adapter_config.json as base_model_name_or_path
  std::string fingerprint;        // see checkpoint/fingerprint.h: resume checks it
  std::string storage = "dense";  // or how its projections are quantised: resume checks it, too
};

/// `model_name_or_path`: a Hugging Face directory, or `random:<shape>`. UserError naming the tensor and the file when
/// one is missing, unexpected, or of another shape. Known not to matter and accepted: rotary_emb.inv_freq buffers of
/// old checkpoints, and an lm_head.weight that equals the embedding it is tied to. `dtype`: auto (the checkpoint's;
/// float16 checkpoints need an explicit one), float32, bfloat16 (float64 for tests). `quantization`: whether and how a
/// dense base is quantised while it is read; one that holds NF4 is kept as it is. What it quantises is this process's
/// own: see eval/base_model.h for ranks that share.
BaseModel load_base_model(const std::string& model_name_or_path, const std::string& dtype, at::Device device = at::kCPU,
                          const Quantization& quantization = {});

}  // namespace allreco::model
