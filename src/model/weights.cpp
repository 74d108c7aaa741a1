#include "model/weights.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <fmt/core.h>

#include "core/check.h"
#include "core/random.h"
#include "model/checkpoint_checks.h"
#include "model/fingerprint.h"
#include "model/ops/product.h"
#include "model/safetensors.h"

namespace allreco::model {

at::Tensor FrozenLinear::forward(const at::Tensor& x) const { return ops::mm(x, weight_.t()); }

at::Tensor FrozenLinear::backward(const at::Tensor& dy) const { return ops::mm(dy, weight_); }

void FrozenLinear::backward_add(const at::Tensor& dy, at::Tensor& dx) const { ops::addmm_(dx, dy, weight_); }

namespace {

constexpr std::uint64_t kRandomBaseSeed = 0;

at::Tensor load_tensor(const Checkpoint& checkpoint, const TensorSpec& spec, at::ScalarType dtype, at::Device device) {
  check_tensor(checkpoint, spec);
  return checkpoint.tensor(spec.name).to(device).to(dtype);  // on the CPU the mapped view itself when it has this dtype
}

Weights load_weights(const Checkpoint& checkpoint, const std::string& directory, const ModelConfig& config,
                     at::ScalarType dtype, at::Device device) {
  check_names(checkpoint, config, directory);
  check_tied_head(checkpoint, config);
  std::vector<at::Tensor> tensors;
  for (const TensorSpec& spec : expected_tensors(config)) {
    tensors.push_back(load_tensor(checkpoint, spec, dtype, device));
  }
  return assemble(config, tensors);
}

}  // namespace

std::vector<TensorSpec> expected_tensors(const ModelConfig& config) {
  const std::int64_t hidden = config.hidden_size;
  std::vector<TensorSpec> specs{{kEmbedding, {config.vocab_size, hidden}}};
  for (std::int64_t l = 0; l < config.num_hidden_layers; ++l) {
    const std::string prefix = fmt::format("model.layers.{}.", l);
    specs.push_back({prefix + "input_layernorm.weight", {hidden}});
    for (const Projection p : kProjections) {
      const auto [out, in] = shape_of(p, config);
      specs.push_back({fmt::format("{}{}.weight", prefix, module_path_of(p)), {out, in}});
    }
    specs.push_back({prefix + "post_attention_layernorm.weight", {hidden}});
  }
  specs.push_back({"model.norm.weight", {hidden}});
  if (!config.tie_word_embeddings) specs.push_back({kHead, {config.vocab_size, hidden}});
  return specs;
}

Weights assemble(const ModelConfig& config, const std::vector<at::Tensor>& tensors) {
  auto next = tensors.begin();
  Weights weights;
  weights.embedding = *next++;
  for (std::int64_t l = 0; l < config.num_hidden_layers; ++l) {
    LayerWeights& layer = weights.layers.emplace_back();
    layer.input_norm = *next++;
    for (FrozenLinear& projection : layer.projections) projection = FrozenLinear(*next++);
    layer.post_attention_norm = *next++;
  }
  weights.final_norm = *next++;
  weights.lm_head = config.tie_word_embeddings ? weights.embedding : *next++;
  core::require(next == tensors.end(), "a tensor has no place in the model");
  return weights;
}

Weights load_weights(const std::string& directory, const ModelConfig& config, at::ScalarType dtype, at::Device device) {
  return load_weights(Checkpoint(directory), directory, config, dtype, device);
}

Weights random_weights(const ModelConfig& config, at::ScalarType dtype, std::uint64_t seed, at::Device device) {
  const std::vector<TensorSpec> specs = expected_tensors(config);
  std::vector<at::Tensor> tensors(specs.size());
  const auto draw = [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      if (specs[i].shape.size() == 1) {
        tensors[i] = at::ones(specs[i].shape, dtype);
        continue;
      }
      const auto key = core::mix_key(seed, {core::key_of("random_weights"), core::key_of(specs[i].name)});
      tensors[i] =
          at::empty(specs[i].shape, at::kFloat).normal_(0, 0.02, at::detail::createCPUGenerator(key)).to(dtype);
    }
  };
  at::parallel_for(0, static_cast<std::int64_t>(specs.size()), 1, draw);
  for (at::Tensor& tensor : tensors) tensor = tensor.to(device);
  return assemble(config, tensors);
}

BaseModel load_base_model(const std::string& model_name_or_path, const std::string& dtype, at::Device device) {
  BaseModel base;
  base.name = model_name_or_path;
  if (is_random_base(model_name_or_path)) {
    base.config = named_model_config(model_name_or_path.substr(kRandomPrefix.size()));
    const at::ScalarType compute_dtype = parse_dtype(dtype).value_or(base.config.checkpoint_dtype);
    base.weights = random_weights(base.config, compute_dtype, kRandomBaseSeed, device);
    base.fingerprint = fingerprint_of(base.config, kRandomBaseSeed);
    return base;
  }
  check_directory(model_name_or_path);
  base.config = read_model_config(model_name_or_path);
  const Checkpoint checkpoint(model_name_or_path);
  check_names(checkpoint, base.config, model_name_or_path);
  base.weights = load_weights(checkpoint, model_name_or_path, base.config,
                              choose_dtype(checkpoint, model_name_or_path, dtype), device);
  base.fingerprint = fingerprint_of(base.config, checkpoint);
  return base;
}

}  // namespace allreco::model
