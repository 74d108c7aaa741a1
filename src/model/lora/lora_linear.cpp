#include "model/lora/lora_linear.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include "core/check.h"
#include "core/random.h"
#include "model/ops/dropout.h"
#include "model/ops/matmul.h"

namespace allreco::model {

namespace {

/// gradient += factor * left^T right. The product of low-precision operands is rounded to their dtype once, then added
/// in the gradient's.
// NOLINTNEXTLINE(performance-unnecessary-value-param): its elements are written
void add_product(at::Tensor gradient, const at::Tensor& left, const at::Tensor& right, double factor) {
  if (gradient.scalar_type() == left.scalar_type()) {
    ops::addmm_(gradient, left.t(), right, /*beta=*/1, /*alpha=*/factor);
  } else {
    gradient.add_(ops::mm(left.t(), right), factor);
  }
}

}  // namespace

LoraLinear::LoraLinear(const LayerWeights& weights, std::span<const Projection> run, const LoraGroup* group,
                       LoraGroupGradients* gradients)
    : group_(group), gradients_(gradients) {
  for (Projection p : run) {
    Member member{&weights[p], p, -1};
    if (group != nullptr) {
      if (const auto found = group->find(p)) {
        if (num_lora_ == 0) first_lora_ = static_cast<std::int64_t>(*found);
        member.lora = num_lora_++;
        if (!group->magnitudes.empty()) member.dora.emplace(*member.base, *group, *found);
      }
    }
    members_.push_back(member);
  }
}

std::int64_t LoraLinear::r_begin(std::int64_t lora) const {
  const auto& offsets = group_->r_offsets;
  return offsets[static_cast<size_t>(first_lora_ + lora)] - offsets[static_cast<size_t>(first_lora_)];
}
std::int64_t LoraLinear::r_of(std::int64_t lora) const { return r_begin(lora + 1) - r_begin(lora); }
at::Tensor LoraLinear::a_of_run() const {
  return group_->a.narrow(0, group_->r_offsets[static_cast<size_t>(first_lora_)], r_begin(num_lora_));
}
at::Tensor LoraLinear::grad_a_of(std::int64_t first, std::int64_t count) {
  const std::int64_t begin = group_->r_offsets[member_of(first)];
  return gradients_->a.narrow(0, group_->trained(begin),
                              group_->trained(group_->r_offsets[member_of(first + count)] - begin));
}
at::Tensor LoraLinear::trained_part(const at::Tensor& t, std::int64_t dim) const {
  return t.narrow(dim, 0, group_->trained(t.size(dim)));
}
at::Tensor LoraLinear::frozen_part(const at::Tensor& t, std::int64_t dim) const {
  const std::int64_t begin = group_->trained(t.size(dim));
  return t.narrow(dim, begin, t.size(dim) - begin);
}
at::Tensor LoraLinear::a_of(std::int64_t lora) const { return a_of_run().narrow(0, r_begin(lora), r_of(lora)); }
const at::Tensor& LoraLinear::b_of(std::int64_t lora) const { return group_->b[member_of(lora)]; }

std::uint64_t LoraLinear::dropout_key(const Member& member, const DropoutPlace& dropout) {
  return core::mix_key(dropout.layer_key, {index_of(member.projection)});
}

at::Tensor LoraLinear::dropped(const at::Tensor& x, const Member& member, const DropoutPlace& dropout) const {
  return ops::dropout(x, dropout.row_keys, dropout_key(member, dropout), dropout.probability);
}

at::Tensor LoraLinear::low_rank(const at::Tensor& x, const DropoutPlace& dropout) const {
  if (dropout.probability == 0) return ops::mm(x, a_of_run().t());  // one product, whatever each r
  at::Tensor z = at::empty({x.size(0), r_begin(num_lora_)}, x.options());
  for (const Member& member : members_) {  // every projection draws its own mask, as in PEFT
    if (member.lora < 0) continue;
    const at::Tensor z_i = z.narrow(1, r_begin(member.lora), r_of(member.lora)), a = a_of(member.lora);
    at::Tensor trained = trained_part(z_i, 1);
    ops::mm_into(trained, dropped(x, member, dropout), trained_part(a, 0).t());
    if (group_->has_frozen_pair) frozen_part(z_i, 1).copy_(ops::mm(x, frozen_part(a, 0).t()));
  }
  return z;
}

std::vector<at::Tensor> LoraLinear::forward(const at::Tensor& x, const DropoutPlace& dropout,
                                            LoraLinearActivations* kept) const {
  std::vector<at::Tensor> ys;
  for (const Member& member : members_)  // [T, out]; Dora adds the bias itself
    ys.push_back(member.dora ? member.base->product(x) : member.base->forward(x));
  if (!has_lora()) return ys;

  const at::Tensor z = low_rank(x, dropout);  // [T, R]
  for (size_t i = 0; i < members_.size(); ++i) {
    const std::int64_t lora = members_[i].lora;
    if (lora < 0) continue;
    const at::Tensor z_i = z.narrow(1, r_begin(lora), r_of(lora));
    if (members_[i].dora) {
      ys[i] = with_dora(ys[i], x, z_i, members_[i], dropout, kept);
    } else {
      ops::addmm_(ys[i], z_i, b_of(lora).t(), /*beta=*/1, /*alpha=*/scaling_of(lora));
    }
  }
  if (kept != nullptr) kept->low_rank = z;
  return ys;
}

/// y [T, out] = x W^T without bias, z [T, r]. The magnitudes act on what went through dropout.
at::Tensor LoraLinear::with_dora(const at::Tensor& y, const at::Tensor& x, const at::Tensor& z, const Member& member,
                                 const DropoutPlace& dropout, LoraLinearActivations* kept) const {
  at::Tensor direction = y, rest;  // [T, out]
  if (dropout.probability > 0) {
    direction = member.base->product(dropped(x, member, dropout));
    rest = y - direction;
  }
  ops::addmm_(direction, z, b_of(member.lora).t(), /*beta=*/1, /*alpha=*/scaling_of(member.lora));
  if (kept != nullptr) kept->directions.push_back(direction);
  return member.dora->forward(direction, rest);
}

void LoraLinear::backward(const at::Tensor& x, const LoraLinearActivations& kept, const std::vector<at::Tensor>& dys,
                          const DropoutPlace& dropout, at::Tensor* dx) {
  core::require(gradients_ != nullptr || !has_lora(), "backward needs a place for the gradients");
  const bool drops = dropout.probability > 0;
  std::vector<at::Tensor> inner = dys;  // of W x + scaling B A x
  for (size_t i = 0; i < members_.size(); ++i) {
    const Member& member = members_[i];
    if (!member.dora) continue;
    const at::Tensor& direction = kept.directions[static_cast<size_t>(member.lora)];
    inner[i] = member.dora->backward(dys[i], direction, gradients_->magnitudes[member_of(member.lora)]);
  }
  const std::vector<at::Tensor>& outer = drops ? dys : inner;  // of W x, undropped
  for (size_t i = 0; dx != nullptr && i < members_.size(); ++i) {
    if (dx->defined()) {
      members_[i].base->backward_add(outer[i], *dx);
    } else {
      *dx = members_[i].base->backward(outer[i]);  // [T, in]
    }
  }
  if (!has_lora()) return;

  at::Tensor dz = at::empty({x.size(0), r_begin(num_lora_)}, x.options());  // [T, R]
  for (size_t i = 0; i < members_.size(); ++i) {
    const std::int64_t lora = members_[i].lora;
    if (lora < 0) continue;
    at::Tensor dz_i = dz.narrow(1, r_begin(lora), r_of(lora));
    ops::addmm_(dz_i, inner[i], b_of(lora), /*beta=*/0, /*alpha=*/scaling_of(lora));
    const at::Tensor z_i = kept.low_rank.narrow(1, r_begin(lora), r_of(lora));
    add_product(gradients_->b[member_of(lora)], inner[i], trained_part(z_i, 1), scaling_of(lora));
    if (drops) {
      const at::Tensor d_dropped_base = members_[i].dora ? inner[i] - dys[i] : at::Tensor();
      backward_dropped(x, dz_i, d_dropped_base, members_[i], dropout, dx);
    }
  }
  if (drops) return;
  add_gradient_of_a(dz, x);
  if (dx != nullptr) ops::addmm_(*dx, dz, a_of_run());
}

/// One product, unless a frozen pair lies between the rows that learn.
void LoraLinear::add_gradient_of_a(const at::Tensor& dz, const at::Tensor& x) {
  if (!group_->has_frozen_pair) return add_product(grad_a_of(0, num_lora_), dz, x, 1);
  for (std::int64_t lora = 0; lora < num_lora_; ++lora)
    add_product(grad_a_of(lora, 1), trained_part(dz.narrow(1, r_begin(lora), r_of(lora)), 1), x, 1);
}

/// Through dropout(x) A^T and, with DoRA, dropout(x) W^T.
void LoraLinear::backward_dropped(const at::Tensor& x, const at::Tensor& dz, const at::Tensor& d_dropped_base,
                                  const Member& member, const DropoutPlace& dropout, at::Tensor* dx) {
  const at::Tensor a = a_of(member.lora);
  add_product(grad_a_of(member.lora, 1), trained_part(dz, 1), dropped(x, member, dropout), 1);
  if (dx == nullptr) return;
  at::Tensor d_dropped = ops::mm(trained_part(dz, 1), trained_part(a, 0));  // [T, in]
  if (d_dropped_base.defined()) member.base->backward_add(d_dropped_base, d_dropped);
  ops::dropout_add(*dx, d_dropped, dropout.row_keys, dropout_key(member, dropout), dropout.probability);
  if (group_->has_frozen_pair) ops::addmm_(*dx, frozen_part(dz, 1), frozen_part(a, 0));
}

}  // namespace allreco::model
