#include "model/ops/adamw8bit.h"

#include "core/check.h"
#include "model/ops/blockwise_checks.h"
#include "model/ops/dynamic_map.h"

namespace allreco::model::ops {

AdamW8BitMaps::AdamW8BitMaps(at::Device device)
    : first(dynamic_map(true)),
      second(dynamic_map(false)),
      first_values(dynamic_map(true).to(device)),
      second_values(dynamic_map(false).to(device)) {}

void adamw8bit_in_place(at::Tensor& parameters, const at::Tensor& gradients, AdamW8BitState& state,
                        const AdamW8BitMaps& maps, const AdamW8BitStep& step) {
  constexpr const char* kOp = "adamw8bit_in_place";
  const auto device = parameters.device().type();
  const std::int64_t n = parameters.numel();
  const std::int64_t num_blocks = num_blocks_of(n, kAdamW8BitBlocksize);
  check_contiguous(kOp, "parameters", parameters, at::kFloat, n, device);
  check_contiguous(kOp, "gradients", gradients, at::kFloat, n, device);
  check_contiguous(kOp, "codes1", state.codes1, at::kByte, n, device);
  check_contiguous(kOp, "codes2", state.codes2, at::kByte, n, device);
  check_contiguous(kOp, "absmax1", state.absmax1, at::kFloat, num_blocks, device);
  check_contiguous(kOp, "absmax2", state.absmax2, at::kFloat, num_blocks, device);
  core::require(step.num_updates > 0, "adamw8bit_in_place: the first update is number 1");
  if (n == 0) return;
  if (device == c10::kCPU) {
    cpu::adamw8bit_in_place(parameters, gradients, state, maps, step);
  } else {
    cuda::adamw8bit_in_place(parameters, gradients, state, maps, step);
  }
}

}  // namespace allreco::model::ops
