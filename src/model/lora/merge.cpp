#include "model/lora/merge.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/linalg_vector_norm.h>

#include <optional>

namespace allreco::model {

at::Tensor merged_weight(const at::Tensor& weight, const LoraGroup& group, Projection projection) {
  const std::optional<size_t> member = group.find(projection);
  if (!member) return weight;
  const size_t i = *member;
  const at::Tensor a = group.a.narrow(0, group.r_offsets[i], group.r_offsets[i + 1] - group.r_offsets[i]);
  at::Tensor merged = at::addmm(weight, group.b[i], a, /*beta=*/1, /*alpha=*/group.scalings[i]);
  if (group.magnitudes.empty()) return merged;
  const at::Tensor norms = at::linalg_vector_norm(merged, 2, at::IntArrayRef{1}, /*keepdim=*/true);
  return merged.mul_(group.magnitudes[i].unsqueeze(1) / norms);
}

}  // namespace allreco::model
