#include "model/decoder/weights.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <fmt/core.h>

#include "core/check.h"
#include "core/random.h"
#include "model/checkpoint/checkpoint_checks.h"
#include "model/checkpoint/fingerprint.h"
#include "model/checkpoint/stored_weights.h"
#include "model/checkpoint/weight_source.h"

namespace allreco::model {

namespace {

Weights read_weights(WeightSource& source, at::Device device) {
  std::vector<WeightParts> parts;
  for (size_t i = 0; i < source.stored().size(); ++i) {
    parts.push_back(source.next());
    for (at::Tensor& part : parts.back()) part = part.to(device);
  }
  return assemble(source.base().config, source.stored(), parts, source.compute_dtype());
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

Weights assemble(const ModelConfig& config, const std::vector<at::Tensor>& others,
                 const std::vector<FrozenLinear>& projections) {
  auto next = others.begin();
  auto next_projection = projections.begin();
  Weights weights;
  weights.embedding = *next++;
  for (std::int64_t l = 0; l < config.num_hidden_layers; ++l) {
    LayerWeights& layer = weights.layers.emplace_back();
    layer.input_norm = *next++;
    for (FrozenLinear& projection : layer.projections) projection = *next_projection++;
    layer.post_attention_norm = *next++;
  }
  weights.final_norm = *next++;
  weights.lm_head = config.tie_word_embeddings ? weights.embedding : *next++;
  core::require(next == others.end() && next_projection == projections.end(), "a tensor has no place in the model");
  return weights;
}

at::Tensor random_weight(const TensorSpec& spec, at::ScalarType dtype, std::uint64_t seed) {
  if (spec.shape.size() == 1) return at::ones(spec.shape, dtype);
  const auto key = core::mix_key(seed, {core::key_of("random_weights"), core::key_of(spec.name)});
  return at::empty(spec.shape, at::kFloat).normal_(0, 0.02, at::detail::createCPUGenerator(key)).to(dtype);
}

Weights random_weights(const ModelConfig& config, at::ScalarType dtype, std::uint64_t seed, at::Device device) {
  const std::vector<TensorSpec> specs = expected_tensors(config);
  std::vector<at::Tensor> tensors(specs.size());
  const auto draw = [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i)
      tensors[i] = random_weight(specs[i], dtype, seed);
  };
  at::parallel_for(0, static_cast<std::int64_t>(specs.size()), 1, draw);
  std::vector<at::Tensor> others;
  std::vector<FrozenLinear> projections;
  for (size_t i = 0; i < specs.size(); ++i) {
    at::Tensor tensor = tensors[i].to(device);
    if (specs[i].is_projection()) {
      projections.emplace_back(std::move(tensor));
    } else {
      others.push_back(std::move(tensor));
    }
  }
  return assemble(config, others, projections);
}

BaseModel load_base_model(const std::string& model_name_or_path, const std::string& dtype, at::Device device,
                          const Quantization& quantization) {
  if (is_random_base(model_name_or_path) && !quantization.load_in_4bit) {
    const ModelConfig config = named_model_config(model_name_or_path.substr(kRandomPrefix.size()));
    const at::ScalarType compute_dtype = parse_dtype(dtype).value_or(config.checkpoint_dtype);
    return {config, random_weights(config, compute_dtype, kRandomBaseSeed, device), model_name_or_path,
            fingerprint_of(config, kRandomBaseSeed), "dense"};
  }
  WeightSource source(model_name_or_path, dtype, quantization, FileAccess::map);
  Weights weights = read_weights(source, device);
  return {source.base().config, std::move(weights), model_name_or_path, source.fingerprint(), source.storage()};
}

}  // namespace allreco::model
