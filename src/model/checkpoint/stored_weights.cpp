#include "model/checkpoint/stored_weights.h"

#include <ATen/ops/scalar_tensor.h>

#include "core/check.h"

namespace allreco::model {
using core::Json;

namespace {

constexpr std::int64_t kAlignment = 64;  // a cache line, and what vector loads like

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

std::int64_t numel_of(const std::vector<std::int64_t>& shape) {
  std::int64_t numel = 1;
  for (const std::int64_t extent : shape) numel *= extent;
  return numel;
}

StoredWeight weight_from_json(const Json& json) {
  StoredWeight weight{{json.at(0).get<std::string>(), json.at(1).get<std::vector<std::int64_t>>()},
                      static_cast<at::ScalarType>(json.at(2).get<int>()),
                      std::nullopt};
  if (json.size() > 3) weight.nf4 = Nf4Format{json.at(3).get<std::int64_t>(), json.at(4).get<std::int64_t>()};
  return weight;
}

std::vector<StoredWeight> weights_from_json(const Json& json) {
  std::vector<StoredWeight> weights;
  for (const Json& weight : json) weights.push_back(weight_from_json(weight));
  return weights;
}

}  // namespace

std::vector<PartShape> shapes_of_parts(const StoredWeight& weight) {
  if (!weight.nf4) return {{weight.dtype, weight.spec.shape}};
  const std::int64_t numel = numel_of(weight.spec.shape), num_blocks = ceil_div(numel, weight.nf4->blocksize);
  const bool is_nested = weight.nf4->nested_blocksize > 0;
  std::vector<PartShape> parts{{at::kByte, {ceil_div(numel, 2), 1}},
                               {is_nested ? at::kByte : at::kFloat, {num_blocks}}};
  if (is_nested) {
    parts.push_back({at::kFloat, {ceil_div(num_blocks, weight.nf4->nested_blocksize)}});
    parts.push_back({at::kFloat, {256}});
    parts.push_back({at::kFloat, {1}});
  }
  return parts;
}

WeightParts parts_of(const ops::Nf4Tensor& nf4) {
  WeightParts parts{nf4.packed, nf4.absmax};
  if (nf4.is_nested()) {
    parts.insert(parts.end(),
                 {nf4.nested_absmax, nf4.nested_map, at::scalar_tensor(nf4.nested_offset, at::kFloat).view(1)});
  }
  return parts;
}

ops::Nf4Tensor nf4_from_parts(const StoredWeight& weight, const WeightParts& parts) {
  core::require(weight.nf4.has_value() && parts.size() == (weight.nf4->nested_blocksize > 0 ? 5u : 2u),
                "the parts of an NF4 weight do not fit its format");
  ops::Nf4Tensor nf4;
  nf4.packed = parts[0];
  nf4.absmax = parts[1];
  nf4.blocksize = weight.nf4->blocksize;
  if (parts.size() == 5) {
    nf4.nested_absmax = parts[2];
    nf4.nested_map = parts[3];
    nf4.nested_offset = parts[4].item<float>();
    nf4.nested_blocksize = weight.nf4->nested_blocksize;
  }
  nf4.shape = weight.spec.shape;
  nf4.dtype = weight.dtype;
  nf4.quant_map = ops::nf4_map().to(nf4.packed.device());
  return nf4;
}

WeightLayout::WeightLayout(std::vector<StoredWeight> weights) : weights_(std::move(weights)) {
  for (const StoredWeight& weight : weights_) {
    std::vector<Part>& parts = parts_.emplace_back();
    for (const PartShape& part : shapes_of_parts(weight)) {
      parts.push_back({part, num_bytes_});
      const std::int64_t bytes = numel_of(part.shape) * static_cast<std::int64_t>(c10::elementSize(part.dtype));
      num_bytes_ += ceil_div(bytes, kAlignment) * kAlignment;
    }
  }
}

WeightLayout::WeightLayout(const Json& json) : WeightLayout(weights_from_json(json)) {}

Json WeightLayout::to_json() const {
  Json json = Json::array();
  for (const StoredWeight& weight : weights_) {
    Json entry{weight.spec.name, weight.spec.shape, static_cast<int>(weight.dtype)};
    if (weight.nf4) {
      entry.push_back(weight.nf4->blocksize);
      entry.push_back(weight.nf4->nested_blocksize);
    }
    json.push_back(std::move(entry));
  }
  return json;
}

Weights assemble(const ModelConfig& config, const std::vector<StoredWeight>& stored,
                 const std::vector<WeightParts>& parts, at::ScalarType compute_dtype) {
  const auto workspace = std::make_shared<DenseWorkspace>();
  const std::vector<LayerTensor> of_layer = layer_tensors(config);
  const size_t num_others = config.tie_word_embeddings ? 2 : 3;
  core::require(stored.size() == parts.size() && config.layers.size() * of_layer.size() + num_others == parts.size(),
                "every weight of the model needs its parts");
  size_t next = 0;
  Weights weights;
  weights.embedding = parts[next++][0];
  weights.layers.resize(config.layers.size());
  for (LayerWeights& layer : weights.layers) {
    for (const LayerTensor& tensor : of_layer) {
      const StoredWeight& weight = stored[next];
      const WeightParts& own = parts[next++];
      if (tensor.kind != LayerTensor::Kind::projection) {
        layer.put(tensor, own[0]);
      } else if (weight.nf4) {
        layer.projections[index_of(tensor.projection)] = {nf4_from_parts(weight, own), compute_dtype, workspace};
      } else {
        layer.projections[index_of(tensor.projection)] = FrozenLinear(own[0]);
      }
    }
  }
  weights.final_norm = parts[next++][0];
  weights.lm_head = config.tie_word_embeddings ? weights.embedding : parts[next][0];
  return weights;
}

}  // namespace allreco::model
