#include "model/decoder/rotary_table.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/sin.h>

#include <algorithm>

namespace allreco::model {

RotaryTable::RotaryTable(const ModelConfig& config, at::ScalarType dtype, at::Device device) : device_(device) {
  std::vector<double> frequencies = rope_inverse_frequencies(config);
  const auto size = static_cast<std::int64_t>(frequencies.size());
  // transformers rounds frequencies and angles to float32; checkpoints were trained that way.
  inverse_frequencies_ =
      at::from_blob(frequencies.data(), {size}, at::kDouble)
          .to(dtype == at::kDouble ? at::kDouble : at::kFloat, /*non_blocking=*/false, /*copy=*/true);
}

void RotaryTable::reserve(std::int64_t num_positions) {
  if (cos_.defined() && cos_.size(0) >= num_positions) return;
  const std::int64_t grown = std::max(num_positions, cos_.defined() ? 2 * cos_.size(0) : 512);
  const at::Tensor angles =
      at::outer(at::arange(grown, inverse_frequencies_.options()), inverse_frequencies_);  // [positions, E/2]
  cos_ = at::cos(angles).to(device_);
  sin_ = at::sin(angles).to(device_);
}

}  // namespace allreco::model
