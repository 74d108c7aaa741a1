#include "model/lora/dora.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_vector_norm.h>

#include <algorithm>

#include "model/ops/matmul.h"

namespace allreco::model {

namespace {

constexpr std::int64_t kChunkElements = std::int64_t{1} << 22;  // 16 MiB of float32

}  // namespace

at::Tensor direction_norms(const FrozenLinear& base, const at::Tensor& a, const at::Tensor& b, double scaling) {
  const at::ScalarType dtype = a.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor& weight = base.dense();
  const at::Tensor a_exact = a.to(dtype), b_exact = b.to(dtype);
  const std::int64_t out = weight.size(0), rows = std::max<std::int64_t>(1, kChunkElements / weight.size(1));
  at::Tensor norms = at::empty({out}, a_exact.options());
  for (std::int64_t begin = 0; begin < out; begin += rows) {
    const std::int64_t count = std::min(rows, out - begin);
    const at::Tensor direction = weight.narrow(0, begin, count).to(dtype, /*non_blocking=*/false, /*copy=*/true);
    ops::addmm_(direction, b_exact.narrow(0, begin, count), a_exact, /*beta=*/1, /*alpha=*/scaling);
    norms.narrow(0, begin, count).copy_(at::linalg_vector_norm(direction, 2, {1}));
  }
  return norms;
}

void start_magnitudes(LoraStore& store, const Weights& weights) {
  if (!store.config().use_dora) return;
  for (const LoraEntry& entry : store.entries()) {
    if (entry.factor != LoraFactor::magnitude) continue;
    const LoraGroup& group = store.group(entry.layer, lora_group_of(entry.projection));
    const size_t i = group.find(entry.projection).value();
    const at::Tensor a = group.a.narrow(0, group.r_offsets[i], group.r_offsets[i + 1] - group.r_offsets[i]);
    const FrozenLinear& base = weights.layers[static_cast<size_t>(entry.layer)][entry.projection];
    LoraStore::view_of(store.parameters(), entry).copy_(direction_norms(base, a, group.b[i], group.scalings[i]));
  }
  store.refresh_compute_copy();
}

}  // namespace allreco::model
