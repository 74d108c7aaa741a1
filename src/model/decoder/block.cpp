#include "model/decoder/block.h"

#include <ATen/ops/index_add.h>
#include <ATen/ops/index_copy.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/zeros_like.h>

#include <set>

#include "core/random.h"
#include "model/ops/gated_activation.h"
#include "model/ops/rms_norm.h"
#include "model/ops/rope.h"

namespace allreco::model {

namespace {

constexpr std::array kQ{Projection::q};
constexpr std::array kKv{Projection::k, Projection::v};
constexpr std::array kO{Projection::o};
constexpr std::array kGateUp{Projection::gate, Projection::up};
constexpr std::array kDown{Projection::down};

/// A layer's LoRA factors and where their gradients go; both may be null.
struct LayerLora {
  const LoraStore* store;
  std::int64_t layer;
  LoraLayerGradients* gradients;
};

LoraLinear make_linear(const LayerWeights& weights, std::span<const Projection> run, const LayerLora& lora) {
  const LoraGroupKind kind = lora_group_of(run.front());
  return LoraLinear(weights, run, lora.store == nullptr ? nullptr : &lora.store->group(lora.layer, kind),
                    lora.gradients == nullptr ? nullptr : &(*lora.gradients)[static_cast<size_t>(kind)]);
}

/// The rows of x [T, ...] that a block's queries stand at.
at::Tensor take(const at::Tensor& x, const QueryRows& rows) {
  return rows.indices.defined() ? x.index_select(0, rows.indices) : x;
}

}  // namespace

std::int64_t bytes_of(const std::vector<BlockActivations>& activations) {
  std::set<const void*> seen;
  std::int64_t bytes = 0;
  const auto add = [&](const at::Tensor& t) {
    if (t.defined() && seen.insert(t.storage().data()).second) bytes += static_cast<std::int64_t>(t.storage().nbytes());
  };
  for (const BlockActivations& a : activations) {
    for (const at::Tensor& t :
         {a.x, a.rstd1, a.q, a.k, a.v, a.attention.out, a.attention.log_sum_exp, a.x1, a.rstd2, a.gate, a.up})
      add(t);
    for (const NormActivations* norm : {&a.q_norm, &a.k_norm, &a.attention_output_norm, &a.mlp_output_norm}) {
      add(norm->x);
      add(norm->rstd);
    }
    for (const LoraLinearActivations* run : {&a.run_q, &a.run_kv, &a.run_o, &a.run_gate_up, &a.run_down}) {
      add(run->low_rank);
      for (const at::Tensor& direction : run->directions) add(direction);
    }
  }
  return bytes;
}

Block::Block(const ModelConfig& config, const LayerWeights& weights, std::int64_t layer, const LoraStore* lora,
             LoraLayerGradients* gradients)
    : config_(config),
      weights_(weights),
      layer_(layer),
      attention_(config.layers.at(static_cast<size_t>(layer))),
      attention_scale_(config.attention_scale()),
      q_(make_linear(weights, kQ, {lora, layer, gradients})),
      kv_(make_linear(weights, kKv, {lora, layer, gradients})),
      o_(make_linear(weights, kO, {lora, layer, gradients})),
      gate_up_(make_linear(weights, kGateUp, {lora, layer, gradients})),
      down_(make_linear(weights, kDown, {lora, layer, gradients})) {}

DropoutPlace Block::dropout_of(const QueryRows& rows, const StreamContext& context) const {
  if (context.dropout_probability == 0) return {};
  const std::uint64_t key = core::mix_key(context.dropout_key, {static_cast<std::uint64_t>(layer_)});
  return {context.dropout_probability, key, rows.row_keys};
}

at::Tensor Block::optional_norm(Norm which, const at::Tensor& x, NormActivations& kept) const {
  if (!config_.has(which)) return x;
  kept.x = x.contiguous().view({-1, x.size(-1)});
  const auto norm_of_x = ops::rms_norm(kept.x, norm(which), config_.rms_norm_eps);
  kept.rstd = norm_of_x.rstd;
  return norm_of_x.y.view(x.sizes());
}

at::Tensor Block::optional_norm_backward(Norm which, const at::Tensor& dy, const NormActivations& kept) const {
  if (!config_.has(which)) return dy;
  at::Tensor dx = at::zeros_like(kept.x);
  ops::rms_norm_backward_add(dx, dy.contiguous().view_as(kept.x), kept.x, kept.rstd, norm(which));
  return dx.view(dy.sizes());
}

void Block::rotate(at::Tensor& x, const QueryRows& rows, const StreamContext& context, bool inverse) const {
  if (!attention_.rope) return;
  const RotaryTable& rope = context.ropes.at(*attention_.rope);
  ops::rope_in_place(x, rows.positions, rope.cos, rope.sin, inverse);
}

at::Tensor Block::forward(const at::Tensor& x, const QueryRows& rows, const StreamContext& context,
                          BlockActivations* activations) const {
  BlockActivations local;
  BlockActivations& a = activations != nullptr ? *activations : local;
  const bool keep = activations != nullptr;
  const DropoutPlace dropout = dropout_of(rows, context), dropout_all = dropout_of(context.all, context);
  const auto heads = [&](const at::Tensor& y) { return y.view({y.size(0), -1, config_.head_dim}); };

  const auto norm1 = ops::rms_norm(x, norm(Norm::input), config_.rms_norm_eps);        // [T, D]
  const auto q = q_.forward(take(norm1.y, rows), dropout, keep ? &a.run_q : nullptr);  // [N, H*E]
  const auto kv = kv_.forward(norm1.y, dropout_all, keep ? &a.run_kv : nullptr);       // [T, K*E] x 2
  a.q = optional_norm(Norm::q, heads(q[0]), a.q_norm);
  a.k = optional_norm(Norm::k, heads(kv[0]), a.k_norm);
  a.v = heads(kv[1]);
  rotate(a.q, rows, context);
  rotate(a.k, context.all, context);
  if (context.cache != nullptr) {
    context.cache->store(layer_, a.k, a.v);
    a.k = context.cache->keys(layer_);
    a.v = context.cache->values(layer_);
  }
  a.attention = ops::attention(a.q, a.k, a.v, rows.spans, attention_scale_, attention_.window);        // [N, H, E]
  const at::Tensor o = o_.forward(a.attention.out.flatten(1), dropout, keep ? &a.run_o : nullptr)[0];  // [N, D]
  a.x1 = optional_norm(Norm::attention_output, o, a.attention_output_norm);
  const auto norm2 = ops::add_rms_norm(a.x1, take(x, rows), norm(Norm::mlp), config_.rms_norm_eps);
  const auto gate_up = gate_up_.forward(norm2.y, dropout, keep ? &a.run_gate_up : nullptr);  // [N, F] x 2
  a.gate = gate_up[0];
  a.up = gate_up[1];
  at::Tensor y = down_.forward(ops::gated_activation(config_.activation, a.gate, a.up), dropout,
                               keep ? &a.run_down : nullptr)[0];  // [N, D]
  y = optional_norm(Norm::mlp_output, y, a.mlp_output_norm).add_(a.x1);

  a.x = x;
  a.rstd1 = norm1.rstd;
  a.rstd2 = norm2.rstd;
  return y;
}

at::Tensor Block::backward(at::Tensor dy, BlockActivations& a, const QueryRows& rows, const StreamContext& context,
                           bool want_dx) {
  const DropoutPlace dropout = dropout_of(rows, context);
  // Backward goes down only as far as a factor of this layer, or the layer below, still needs it.
  const bool want_qkv = want_dx || q_.has_lora() || kv_.has_lora();
  const bool want_o = want_qkv || o_.has_lora();
  const bool want_mlp = want_o || gate_up_.has_lora();

  at::Tensor dm, dh2, dout;
  const at::Tensor m = ops::gated_activation(config_.activation, a.gate, a.up);               // [N, F]
  const at::Tensor d_down = optional_norm_backward(Norm::mlp_output, dy, a.mlp_output_norm);  // [N, D]
  down_.backward(m, a.run_down, {d_down}, dropout, want_mlp ? &dm : nullptr);                 // dm [N, F]
  if (!want_mlp) return {};
  ops::gated_activation_backward_in_place(config_.activation, dm, a.gate, a.up);  // gate, up: now their gradients
  const at::Tensor h2 = ops::rms_norm_recompute(a.x1, a.rstd2, norm(Norm::mlp));  // [N, D]
  gate_up_.backward(h2, a.run_gate_up, {a.gate, a.up}, dropout, want_o ? &dh2 : nullptr);  // dh2 [N, D]
  if (!want_o) return {};
  at::Tensor& dx1 = dy;  // [N, D]
  ops::rms_norm_backward_add(dx1, dh2, a.x1, a.rstd2, norm(Norm::mlp));
  const at::Tensor d_o = optional_norm_backward(Norm::attention_output, dx1, a.attention_output_norm);  // [N, D]
  o_.backward(a.attention.out.flatten(1), a.run_o, {d_o}, dropout, want_qkv ? &dout : nullptr);         // dout [N, H*E]
  if (!want_qkv) return {};
  auto d = ops::attention_backward(dout.view_as(a.q), a.q, a.k, a.v, a.attention, rows.spans, attention_scale_,
                                   attention_.window);
  rotate(d.dq, rows, context, /*inverse=*/true);
  rotate(d.dk, context.all, context, /*inverse=*/true);
  d.dq = optional_norm_backward(Norm::q, d.dq, a.q_norm);
  d.dk = optional_norm_backward(Norm::k, d.dk, a.k_norm);
  const at::Tensor dh1 = input_norm_backward(d, a, rows, context, want_dx);  // [T, D]
  if (!want_dx) return {};
  at::Tensor dx = rows.indices.defined() ? at::zeros_like(a.x).index_copy_(0, rows.indices, dx1) : dx1;  // [T, D]
  ops::rms_norm_backward_add(dx, dh1, a.x, a.rstd1, norm(Norm::input));
  return dx;
}

/// The gradient for the first norm's output, through k, v (all rows) and q (the query rows).
at::Tensor Block::input_norm_backward(const ops::AttentionGradients& d, const BlockActivations& a,
                                      const QueryRows& rows, const StreamContext& context, bool want) {
  const at::Tensor h1 = ops::rms_norm_recompute(a.x, a.rstd1, norm(Norm::input));  // [T, D]
  at::Tensor dh1, dh1_rows;
  kv_.backward(h1, a.run_kv, {d.dk.flatten(1), d.dv.flatten(1)}, dropout_of(context.all, context),
               want ? &dh1 : nullptr);  // dh1 [T, D]
  const bool pruned = rows.indices.defined();
  at::Tensor* dh1_of_q = pruned ? &dh1_rows : &dh1;  // [N, D]
  q_.backward(take(h1, rows), a.run_q, {d.dq.flatten(1)}, dropout_of(rows, context), want ? dh1_of_q : nullptr);
  if (want && pruned) dh1.index_add_(0, rows.indices, dh1_rows);
  return dh1;
}

}  // namespace allreco::model
