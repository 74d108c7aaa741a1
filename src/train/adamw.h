// AdamW (Loshchilov & Hutter 2019) as torch.optim.AdamW computes it, over the flat LoRA store in one pass:
//   p *= 1 - lr * weight_decay;  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p -= lr / (1 - b1^t) * m / (sqrt(v)
//   / sqrt(1 - b2^t) + eps)
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace allreco::train {

struct AdamWConfig {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
};

class AdamW {
 public:
  /// Moments start at 0, in the parameters' dtype. `parameters`: flat; updated in place by step().
  AdamW(at::Tensor parameters, const AdamWConfig& config);

  /// One update with gradient_factor * gradients. REQUIRES gradients of the parameters' size. May overwrite `gradients`
  /// with the scaled ones.
  void step(const at::Tensor& gradients, double learning_rate, double gradient_factor = 1);

  /// Flat first and second moments [P]: what a checkpoint holds, beside the number of updates.
  const at::Tensor& exp_avg() const { return exp_avg_; }
  const at::Tensor& exp_avg_sq() const { return exp_avg_sq_; }
  std::int64_t num_updates() const { return num_updates_; }
  void set_num_updates(std::int64_t count) { num_updates_ = count; }

 private:
  AdamWConfig config_;
  at::Tensor parameters_, exp_avg_, exp_avg_sq_;
  std::int64_t num_updates_ = 0;
};

}  // namespace allreco::train
