#include "model/decoder/rotary_table.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/sin.h>

#include <algorithm>

namespace allreco::model {

RotaryTables::RotaryTables(const ModelConfig& config, at::ScalarType dtype, at::Device device)
    : device_(device), tables_(config.ropes.size()) {
  for (const Rope& rope : config.ropes) {
    std::vector<double> frequencies = rope_inverse_frequencies(rope, config.head_dim);
    const auto size = static_cast<std::int64_t>(frequencies.size());
    // transformers rounds frequencies and angles to float32; checkpoints were trained that way.
    inverse_frequencies_.push_back(
        at::from_blob(frequencies.data(), {size}, at::kDouble)
            .to(dtype == at::kDouble ? at::kDouble : at::kFloat, /*non_blocking=*/false, /*copy=*/true));
  }
}

const std::vector<RotaryTable>& RotaryTables::up_to(std::int64_t num_positions) {
  if (num_positions_ >= num_positions) return tables_;
  num_positions_ = std::max<std::int64_t>(num_positions, num_positions_ > 0 ? 2 * num_positions_ : 512);
  for (size_t i = 0; i < tables_.size(); ++i) {
    const at::Tensor& frequencies = inverse_frequencies_[i];
    const at::Tensor angles =
        at::outer(at::arange(num_positions_, frequencies.options()), frequencies);  // [positions, E/2]
    tables_[i] = {at::cos(angles).to(device_), at::sin(angles).to(device_)};
  }
  return tables_;
}

}  // namespace allreco::model
