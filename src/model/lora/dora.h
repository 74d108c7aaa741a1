// DoRA (arXiv:2402.09353): the weight's direction is W + scaling B A with rows of norm 1, and each output feature
// learns its magnitude. Legend: T rows, out features, r LoRA's rank.
#pragma once
#include <ATen/core/Tensor.h>

#include "model/decoder/weights.h"
#include "model/lora/lora.h"

namespace allreco::model {

/// DoRA of one projection; forward and backward side by side. The norms count as constants (section 4.3 of the paper).
class Dora {
 public:
  /// Of the group's member `member`, whose frozen projection is `base`. All must outlive this.
  Dora(const FrozenLinear& base, const LoraGroup& group, size_t member)
      : base_(&base), group_(&group), member_(member) {}

  /// magnitude / norm * direction + rest + bias, [T, out]: the magnitudes leave a bias as it is. `direction`: of
  /// W + scaling B A without bias; `rest`: what dropout left out of it, or undefined.
  at::Tensor forward(const at::Tensor& direction, const at::Tensor& rest) const;
  /// The gradient for `direction` [T, out]; the magnitude's is added to `gradient` [out].
  at::Tensor backward(const at::Tensor& dy, const at::Tensor& direction, at::Tensor& gradient) const;

 private:
  const at::Tensor& magnitude() const { return group_->magnitudes[member_]; }
  const at::Tensor& norms() const;  // [out]

  const FrozenLinear* base_;
  const LoraGroup* group_;
  size_t member_;
};

/// The row norms [out] of W + scaling B A, in float32 (float64 where A is), computed some rows at a time. a [r, in],
/// b [out, r].
at::Tensor direction_norms(const FrozenLinear& base, const at::Tensor& a, const at::Tensor& b, double scaling);

/// PEFT's initial values: every magnitude is the norm of its direction, so that the adapter changes nothing yet.
/// Without DoRA there is nothing to do.
void init_magnitudes(LoraStore& store, const Weights& weights);

}  // namespace allreco::model
