// AdamW (Loshchilov & Hutter 2019) as torch.optim.AdamW computes it, over the flat LoRA store in one pass:
//   p *= 1 - lr * weight_decay;  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p -= lr / (1 - b1^t) * m / (sqrt(v)
//   / sqrt(1 - b2^t) + eps)
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "train/optimizer.h"

namespace allreco::train {

/// Stretches [begin, end) of the flat store that learn with the same factor of the learning rate.
struct EqualRate {
  double factor = 1;
  std::vector<std::pair<std::int64_t, std::int64_t>> stretches;
};
/// Adjacent slices of one factor are joined. In the order in which the factors come first.
std::vector<EqualRate> group_by_rate(const std::vector<ParamGroup>& slices);

/// Tensors of one learning rate.
struct AdamWTensors {
  std::vector<at::Tensor> parameters, gradients, exp_avg, exp_avg_sq;
};
/// torch's fused update number `num_updates` (from 1) of them, with gradient_factor * gradients, which may be
/// overwritten.
void fused_adamw(const AdamWTensors& tensors, const AdamWConfig& config, std::int64_t num_updates, double learning_rate,
                 double gradient_factor);

class AdamW : public Optimizer {
 public:
  /// Moments start at 0, in the parameters' dtype. `parameters`: flat; updated in place by step(). The slices cover
  /// them.
  AdamW(at::Tensor parameters, std::vector<ParamGroup> slices, const AdamWConfig& config);

  void step(const at::Tensor& gradients, double learning_rate, double gradient_factor = 1) override;
  std::vector<at::Tensor> state() const override { return {exp_avg_, exp_avg_sq_}; }
  /// exp_avg.<name>, exp_avg_sq.<name>
  std::vector<model::NamedTensor> named_views(const std::vector<at::Tensor>& state) const override;

  /// Flat first and second moments [P].
  const at::Tensor& exp_avg() const { return exp_avg_; }
  const at::Tensor& exp_avg_sq() const { return exp_avg_sq_; }

 private:
  AdamWConfig config_;
  std::vector<ParamGroup> slices_;
  std::vector<EqualRate> rates_;
  at::Tensor parameters_, exp_avg_, exp_avg_sq_;
};

}  // namespace allreco::train
