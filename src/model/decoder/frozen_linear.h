// FrozenLinear: the weight of one frozen projection, dense or in NF4, and its products. An NF4 weight is dequantised
// into a workspace that all weights of a model share, right before each product: no dense copy outlives it.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "model/ops/nf4.h"

namespace allreco::model {

/// Room for one dense weight at a time, as large as the largest one asked for. One thread uses it.
class DenseWorkspace {
 public:
  /// [rows, columns], contents undefined; the one before it is gone.
  at::Tensor get(std::int64_t rows, std::int64_t columns, at::ScalarType dtype, at::Device device);

 private:
  at::Tensor bytes_;
};

class FrozenLinear {
 public:
  FrozenLinear() = default;
  /// `weight` [out, in].
  explicit FrozenLinear(at::Tensor weight) : weight_(std::move(weight)) {}
  /// `compute_dtype`: of the products; inputs and results are converted where theirs is another, as bitsandbytes'
  /// Linear4bit does.
  FrozenLinear(ops::Nf4Tensor weight, at::ScalarType compute_dtype, std::shared_ptr<DenseWorkspace> workspace);

  /// [T, in] -> [T, out]: x W^T + b
  at::Tensor forward(const at::Tensor& x) const;
  /// The same without b.
  at::Tensor product(const at::Tensor& x) const;
  /// [T, out] -> [T, in]: dy W
  at::Tensor backward(const at::Tensor& dy) const;
  /// dx += dy W
  void backward_add(const at::Tensor& dy, at::Tensor& dx) const;

  /// `bias` [out], in the dtype of the activations.
  void set_bias(at::Tensor bias) { bias_ = std::move(bias); }
  /// Undefined where there is none.
  const at::Tensor& bias() const { return bias_; }

  std::int64_t out_features() const;
  std::int64_t in_features() const;
  bool is_quantized() const { return quantized_ != nullptr; }
  /// REQUIRES is_quantized().
  const ops::Nf4Tensor& quantized() const;
  /// [out, in]. Of an NF4 weight in the dtype that was quantised, in the workspace: valid until the next product with
  /// any weight of the model.
  at::Tensor dense() const;

 private:
  struct Quantized;
  at::Tensor weight_;  // undefined: quantised
  at::Tensor bias_;    // or undefined
  std::shared_ptr<const Quantized> quantized_;
};

}  // namespace allreco::model
