#include "model/lora/dora.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_vector_norm.h>

#include <algorithm>

#include "model/ops/matmul.h"

namespace allreco::model {

namespace {

constexpr std::int64_t kChunkElements = std::int64_t{1} << 22;  // 16 MiB of float32

at::Tensor norms_of(const FrozenLinear& base, const LoraGroup& group, size_t member) {
  const std::int64_t begin = group.r_offsets[member];
  const at::Tensor a = group.a.narrow(0, begin, group.r_offsets[member + 1] - begin);
  return direction_norms(base, a, group.b[member], group.scalings[member]);
}

}  // namespace

// The magnitudes act in their own precision: in bfloat16 their small changes would be lost.
at::Tensor Dora::forward(const at::Tensor& direction, const at::Tensor& rest) const {
  at::Tensor y = direction * (magnitude() / norms());
  if (rest.defined()) y.add_(rest);
  if (base_->bias().defined()) y.add_(base_->bias());
  return y.to(direction.scalar_type());
}

at::Tensor Dora::backward(const at::Tensor& dy, const at::Tensor& direction, at::Tensor& gradient) const {
  gradient.add_((dy.to(norms().scalar_type()) * direction).sum(0) / norms());
  return (dy * (magnitude() / norms())).to(dy.scalar_type());
}

const at::Tensor& Dora::norms() const {
  at::Tensor& cached = group_->norms[member_];
  if (!cached.defined()) cached = norms_of(*base_, *group_, member_);
  return cached;
}

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

void init_magnitudes(LoraStore& store, const Weights& weights) {
  if (!store.config().use_dora) return;
  for (const LoraEntry& entry : store.entries()) {
    if (entry.factor != LoraFactor::magnitude) continue;
    const LoraGroup& group = store.group(entry.layer, lora_group_of(entry.projection));
    const size_t i = group.find(entry.projection).value();
    const FrozenLinear& base = weights.layers[static_cast<size_t>(entry.layer)][entry.projection];
    LoraStore::view_of(store.parameters(), entry).copy_(norms_of(base, group, i));
  }
  store.refresh_compute_copy();
}

}  // namespace allreco::model
