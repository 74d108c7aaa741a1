#include "model/lora/weight_init.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/sqrt.h>

#include <algorithm>
#include <tuple>

#include "core/check.h"
#include "core/random.h"
#include "model/ops/matmul.h"

namespace allreco::model {

namespace {

struct Svd {
  at::Tensor u, s, vh;
};

/// Standard normal, the same values on any device.
at::Tensor draw_normal(std::int64_t rows, std::int64_t columns, const at::Tensor& like, std::uint64_t key) {
  const at::Tensor drawn = at::empty({rows, columns}, at::kDouble);
  core::RandomStream stream(key);
  auto* values = drawn.mutable_data_ptr<double>();
  for (std::int64_t i = 0; i < drawn.numel(); ++i) values[i] = stream.next_normal();
  return drawn.to(like.options());
}

at::Tensor orthonormal(const at::Tensor& columns) { return std::get<0>(at::linalg_qr(columns)); }

/// torch.svd_lowrank: algorithms 4.4 and 5.1 of Halko et al., arXiv:0909.4061.
Svd low_rank_svd(const at::Tensor& weight, std::int64_t r, std::int64_t num_iterations, std::uint64_t key) {
  const bool is_wide = weight.size(0) < weight.size(1);
  const at::Tensor tall = is_wide ? weight.t() : weight;                                 // [m, n], m >= n
  at::Tensor q = orthonormal(ops::mm(tall, draw_normal(tall.size(1), r, weight, key)));  // [m, r]
  for (std::int64_t i = 0; i < num_iterations; ++i) {
    q = orthonormal(ops::mm(tall.t(), q));  // [n, r]
    q = orthonormal(ops::mm(tall, q));      // [m, r]
  }
  const auto [u, s, vh] = at::linalg_svd(ops::mm(q.t(), tall), /*full_matrices=*/false);  // of [r, n]
  const at::Tensor left = ops::mm(q, u);                                                  // [m, r]
  return is_wide ? Svd{vh.t(), s, left.t()} : Svd{left, s, vh};
}

Svd largest_singular_vectors(const at::Tensor& weight, const LoraConfig& config, std::int64_t r, std::uint64_t key) {
  if (const auto num_iterations = config.pissa_iterations()) return low_rank_svd(weight, r, *num_iterations, key);
  const auto [u, s, vh] = at::linalg_svd(weight, /*full_matrices=*/false);
  return {u.narrow(1, 0, r), s.narrow(0, 0, r), vh.narrow(0, 0, r)};
}

/// The B factor that goes with `a`.
const LoraEntry& partner_of(const LoraEntry& a, const LoraStore& store) {
  const auto is_partner = [&](const LoraEntry& entry) {
    return entry.layer == a.layer && entry.projection == a.projection && entry.factor == LoraFactor::b;
  };
  return *std::find_if(store.entries().begin(), store.entries().end(), is_partner);
}

double scaling_of(const LoraEntry& entry, const LoraStore& store) {
  const LoraGroup& group = store.group(entry.layer, lora_group_of(entry.projection));
  return group.scalings[group.find(entry.projection).value()];
}

}  // namespace

InitFactors init_factors(const at::Tensor& weight, const LoraConfig& config, std::int64_t r, double scaling,
                         std::uint64_t key) {
  if (config.init_lora_weights == "olora") {
    const auto [q, upper] = at::linalg_qr(weight);
    return {upper.narrow(0, 0, r), q.narrow(1, 0, r)};
  }
  const auto [u, s, vh] = largest_singular_vectors(weight, config, r, key);
  const at::Tensor root = at::sqrt(s / scaling);  // [r]
  return {root.unsqueeze(1) * vh, u * root};
}

void init_layer_from_weights(LoraStore& store, const Weights& weights, std::int64_t layer, std::uint64_t seed) {
  core::require(store.config().initializes_from_weight(), "this store does not start from the weights");
  for (const LoraEntry& a : store.entries()) {
    if (a.layer != layer || a.factor != LoraFactor::a) continue;
    const at::Tensor weight =
        weights.layers[static_cast<size_t>(layer)][a.projection].dense().to(store.parameters().scalar_type());
    const std::uint64_t key = core::mix_key(seed, {core::key_of("pissa"), core::key_of(a.name)});
    const InitFactors initial = init_factors(weight, store.config(), a.shape[0], scaling_of(a, store), key);
    LoraStore::view_of(store.parameters(), a).copy_(initial.a);
    LoraStore::view_of(store.parameters(), partner_of(a, store)).copy_(initial.b);
  }
}

}  // namespace allreco::model
