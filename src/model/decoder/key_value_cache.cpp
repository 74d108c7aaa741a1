#include "model/decoder/key_value_cache.h"

#include <ATen/ops/index_copy.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

namespace allreco::model {

KeyValueCache::KeyValueCache(const ModelConfig& config, std::int64_t num_sequences, std::int64_t capacity,
                             at::ScalarType dtype, at::Device device)
    : capacity_(capacity) {
  for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    keys_.push_back(at::zeros({num_sequences * capacity, config.num_key_value_heads, config.head_dim},
                              at::TensorOptions().dtype(dtype).device(device)));
    values_.push_back(at::zeros_like(keys_.back()));
  }
}

void KeyValueCache::store(std::int64_t layer, const at::Tensor& k, const at::Tensor& v) {
  keys_[static_cast<size_t>(layer)].index_copy_(0, store_rows_, k);
  values_[static_cast<size_t>(layer)].index_copy_(0, store_rows_, v);
}

}  // namespace allreco::model
