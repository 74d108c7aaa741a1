// RotaryTable: cos and sin of every (position, frequency), grown to the longest position asked for.
#pragma once
#include <ATen/core/Tensor.h>

#include "model/families/config.h"

namespace allreco::model {

class RotaryTable {
 public:
  /// `dtype`: of the model's activations; tables are float64 for float64, else float32.
  RotaryTable(const ModelConfig& config, at::ScalarType dtype, at::Device device = at::kCPU);

  /// Makes sure that positions [0, num_positions) are there.
  void reserve(std::int64_t num_positions);
  const at::Tensor& cos() const { return cos_; }  // [positions, E/2]
  const at::Tensor& sin() const { return sin_; }

 private:
  at::Device device_;
  at::Tensor inverse_frequencies_;  // [E/2], on the CPU, as are the angles: the tables have the same bits everywhere
  at::Tensor cos_, sin_;
};

}  // namespace allreco::model
