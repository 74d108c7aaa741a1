#include "model/decoder/embedding.h"

#include <ATen/ops/scalar_tensor.h>

namespace allreco::model {

at::Tensor embed(const ModelConfig& config, const at::Tensor& embedding, const at::Tensor& tokens) {
  at::Tensor x = embedding.index_select(0, tokens);  // [T, D]
  if (config.embedding_scale == 1) return x;
  return x.mul_(at::scalar_tensor(config.embedding_scale, embedding.scalar_type()).item<double>());
}

}  // namespace allreco::model
