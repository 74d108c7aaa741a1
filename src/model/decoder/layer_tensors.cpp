#include "model/decoder/layer_tensors.h"

namespace allreco::model {

namespace {

LayerTensor norm_tensor(const NormName& name, const ModelConfig& config) {
  const bool is_of_heads = name.norm == Norm::q || name.norm == Norm::k;
  LayerTensor tensor;
  tensor.module = name.module;
  tensor.shape = {is_of_heads ? config.head_dim : config.hidden_size};
  tensor.norm = name.norm;
  return tensor;
}

}  // namespace

std::vector<LayerTensor> layer_tensors(const ModelConfig& config) {
  std::vector<LayerTensor> tensors{norm_tensor(config.norms.front(), config)};
  for (const Projection p : kProjections) {
    const auto [out, in] = shape_of(p, config);
    LayerTensor tensor{std::string(module_path_of(p)), LayerTensor::Kind::projection, {out, in}};
    tensor.projection = p;
    tensors.push_back(tensor);
    if (!config.has_bias[index_of(p)]) continue;
    tensor.kind = LayerTensor::Kind::bias;
    tensor.shape = {out};
    tensors.push_back(tensor);
  }
  for (size_t i = 1; i < config.norms.size(); ++i) tensors.push_back(norm_tensor(config.norms[i], config));
  return tensors;
}

}  // namespace allreco::model
