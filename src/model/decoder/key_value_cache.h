// KeyValueCache: keys and values of sequences that are being continued, one slot of rows a sequence, per layer.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/families/config.h"

namespace allreco::model {

class KeyValueCache {
 public:
  /// Room for `num_sequences` sequences of up to `capacity` tokens in every layer. Legend: K key-value heads, E head
  /// dim.
  KeyValueCache(const ModelConfig& config, std::int64_t num_sequences, std::int64_t capacity, at::ScalarType dtype,
                at::Device device = at::kCPU);

  /// The rows (into keys() and values()) that the next forward stores its k and v at: int64 [T].
  void set_store_rows(at::Tensor rows) { store_rows_ = std::move(rows); }
  void store(std::int64_t layer, const at::Tensor& k, const at::Tensor& v);

  std::int64_t row_of(std::int64_t sequence, std::int64_t position) const { return sequence * capacity_ + position; }
  const at::Tensor& keys(std::int64_t layer) const {
    return keys_[static_cast<size_t>(layer)];
  }  // [sequences * capacity, K, E]
  const at::Tensor& values(std::int64_t layer) const { return values_[static_cast<size_t>(layer)]; }

 private:
  std::int64_t capacity_;
  std::vector<at::Tensor> keys_, values_;
  at::Tensor store_rows_;
};

}  // namespace allreco::model
