#include "model/projection_run.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "core/random.h"
#include "model/ops/dropout.h"
#include "model/ops/product.h"

namespace allreco::model {

namespace {

/// gradient += factor * left^T right. The product of low-precision operands is rounded to their dtype once, then added
/// in the gradient's.
void add_product(const at::Tensor& gradient, const at::Tensor& left, const at::Tensor& right, double factor) {
  if (gradient.scalar_type() == left.scalar_type()) {
    ops::addmm_(gradient, left.t(), right, /*beta=*/1, /*alpha=*/factor);
  } else {
    gradient.add_(ops::mm(left.t(), right), factor);
  }
}

}  // namespace

ProjectionRun::ProjectionRun(const LayerWeights& weights, std::span<const Projection> run, const LoraGroup* group,
                             double scaling)
    : group_(group), scaling_(scaling) {
  for (Projection p : run) {
    Member member{&weights[p], p, -1};
    if (group != nullptr) {
      const auto found = std::find(group->members.begin(), group->members.end(), p);
      if (found != group->members.end()) {
        if (num_lora_ == 0) first_lora_ = found - group->members.begin();
        member.lora = num_lora_++;
      }
    }
    members_.push_back(member);
  }
}

std::int64_t ProjectionRun::rank_begin(std::int64_t lora) const {
  const auto& offsets = group_->rank_offsets;
  return offsets[static_cast<size_t>(first_lora_ + lora)] - offsets[static_cast<size_t>(first_lora_)];
}
std::int64_t ProjectionRun::rank_of(std::int64_t lora) const { return rank_begin(lora + 1) - rank_begin(lora); }
at::Tensor ProjectionRun::a_of_run() const {
  return group_->a.narrow(0, group_->rank_offsets[static_cast<size_t>(first_lora_)], rank_begin(num_lora_));
}
at::Tensor ProjectionRun::a_of(std::int64_t lora) const {
  return a_of_run().narrow(0, rank_begin(lora), rank_of(lora));
}
const at::Tensor& ProjectionRun::b_of(std::int64_t lora) const {
  return group_->b[static_cast<size_t>(first_lora_ + lora)];
}

at::Tensor ProjectionRun::dropped(const at::Tensor& x, const Member& member, const DropoutPlace& dropout) const {
  const std::uint64_t key = core::mix_key(dropout.layer_key, {index_of(member.projection)});
  return ops::dropout(x, dropout.row_keys, key, dropout.probability);
}

std::vector<at::Tensor> ProjectionRun::forward(const at::Tensor& x, const DropoutPlace& dropout,
                                               at::Tensor* low_rank) const {
  std::vector<at::Tensor> ys;
  for (const Member& member : members_) ys.push_back(member.base->forward(x));  // [T, out]
  if (!has_lora()) return ys;

  at::Tensor z;  // [T, R]
  if (dropout.probability == 0) {
    z = ops::mm(x, a_of_run().t());
  } else {  // every projection draws its own mask, as in PEFT
    z = at::empty({x.size(0), rank_begin(num_lora_)}, x.options());
    for (const Member& member : members_) {
      if (member.lora < 0) continue;
      z.narrow(1, rank_begin(member.lora), rank_of(member.lora))
          .copy_(ops::mm(dropped(x, member, dropout), a_of(member.lora).t()));
    }
  }
  for (size_t i = 0; i < members_.size(); ++i) {
    const std::int64_t lora = members_[i].lora;
    if (lora < 0) continue;
    ops::addmm_(ys[i], z.narrow(1, rank_begin(lora), rank_of(lora)), b_of(lora).t(), /*beta=*/1, /*alpha=*/scaling_);
  }
  if (low_rank != nullptr) *low_rank = z;
  return ys;
}

void ProjectionRun::backward(const at::Tensor& x, const at::Tensor& low_rank, const std::vector<at::Tensor>& dys,
                             const DropoutPlace& dropout, at::Tensor* dx) const {
  for (size_t i = 0; dx != nullptr && i < members_.size(); ++i) {
    if (dx->defined()) {
      members_[i].base->backward_add(dys[i], *dx);
    } else {
      *dx = members_[i].base->backward(dys[i]);  // [T, in]
    }
  }
  if (!has_lora()) return;

  at::Tensor dz = at::empty({x.size(0), rank_begin(num_lora_)}, x.options());  // [T, R]
  for (size_t i = 0; i < members_.size(); ++i) {
    const std::int64_t lora = members_[i].lora;
    if (lora < 0) continue;
    at::Tensor dz_i = dz.narrow(1, rank_begin(lora), rank_of(lora));
    ops::addmm_(dz_i, dys[i], b_of(lora), /*beta=*/0, /*alpha=*/scaling_);
    add_product(group_->grad_b[static_cast<size_t>(first_lora_ + lora)], dys[i],
                low_rank.narrow(1, rank_begin(lora), rank_of(lora)), scaling_);
  }

  const at::Tensor grad_a =
      group_->grad_a.narrow(0, group_->rank_offsets[static_cast<size_t>(first_lora_)], rank_begin(num_lora_));
  if (dropout.probability == 0) {
    add_product(grad_a, dz, x, 1);
    if (dx != nullptr) ops::addmm_(*dx, dz, a_of_run());
    return;
  }
  for (const Member& member : members_) {
    if (member.lora < 0) continue;
    const at::Tensor dz_i = dz.narrow(1, rank_begin(member.lora), rank_of(member.lora));
    add_product(grad_a.narrow(0, rank_begin(member.lora), rank_of(member.lora)), dz_i, dropped(x, member, dropout), 1);
    if (dx != nullptr) dx->add_(dropped(ops::mm(dz_i, a_of(member.lora)), member, dropout));
  }
}

}  // namespace allreco::model
