#include "model/decoder/weights.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <fmt/core.h>

#include "core/check.h"
#include "core/parallel.h"
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

void LayerWeights::put(const LayerTensor& place, at::Tensor tensor) {
  if (place.kind == LayerTensor::Kind::norm) {
    norms[index_of(place.norm)] = std::move(tensor);
  } else {
    core::require(place.kind == LayerTensor::Kind::bias, "a projection's weight is no plain tensor");
    projections[index_of(place.projection)].set_bias(std::move(tensor));
  }
}

std::vector<TensorSpec> expected_tensors(const ModelConfig& config) {
  const double one = config.norm_plus_one ? 0 : 1;  // a norm that changes nothing
  std::vector<TensorSpec> specs{{kEmbedding, {config.vocab_size, config.hidden_size}}};
  const std::vector<LayerTensor> of_layer = layer_tensors(config);
  for (std::int64_t l = 0; l < config.num_hidden_layers; ++l) {
    for (const LayerTensor& tensor : of_layer) {
      specs.push_back({fmt::format("model.layers.{}.{}", l, tensor.name()), tensor.shape,
                       tensor.kind == LayerTensor::Kind::bias ? 0 : one});
    }
  }
  specs.push_back({"model.norm.weight", {config.hidden_size}, one});
  if (!config.tie_word_embeddings) specs.push_back({kHead, {config.vocab_size, config.hidden_size}});
  return specs;
}

at::Tensor random_weight(const TensorSpec& spec, at::ScalarType dtype, std::uint64_t seed) {
  if (spec.shape.size() == 1) return at::full(spec.shape, spec.initial_value, dtype);
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
  core::parallel_for(std::ssize(specs), at::get_num_threads(), draw);
  std::vector<StoredWeight> stored;
  std::vector<WeightParts> parts;
  for (size_t i = 0; i < specs.size(); ++i) {
    stored.push_back({specs[i], dtype, std::nullopt});
    parts.push_back({tensors[i].to(device)});
  }
  return assemble(config, stored, parts, dtype);
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
