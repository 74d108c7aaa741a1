// RotaryTables: cos and sin of every (position, frequency) of each rope that a model has, grown to the longest position
// asked for.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "model/families/config.h"

namespace allreco::model {

struct RotaryTable {
  at::Tensor cos, sin;  // [positions, E/2]
};

class RotaryTables {
 public:
  /// `dtype`: of the model's activations; tables are float64 for float64, else float32.
  RotaryTables(const ModelConfig& config, at::ScalarType dtype, at::Device device = at::kCPU);

  /// One for each of the config's ropes, with positions [0, num_positions) at least.
  const std::vector<RotaryTable>& up_to(std::int64_t num_positions);

 private:
  at::Device device_;
  std::vector<at::Tensor> inverse_frequencies_;  // [E/2], on the CPU, as are the angles: the same bits everywhere
  std::vector<RotaryTable> tables_;
  std::int64_t num_positions_ = 0;
};

}  // namespace allreco::model
