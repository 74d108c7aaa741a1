#include "model/decoder/frozen_linear.h"

#include <ATen/ops/empty.h>

#include "core/check.h"
#include "model/ops/matmul.h"

namespace allreco::model {

/// bitsandbytes (autograd/_functions.py, MatMul4Bit): forward dequantises to the compute dtype; backward to the dtype
/// that was quantised, and then to the compute dtype.
struct FrozenLinear::Quantized {
  ops::Nf4Tensor nf4;
  at::ScalarType compute_dtype = at::kFloat;
  std::shared_ptr<DenseWorkspace> workspace;

  /// In which products of the compute dtype are multiplied (ops/matmul.h): wide weights are written at once.
  at::ScalarType product_dtype() const {
    return nf4.packed.is_cpu() && ops::widens_products(compute_dtype) ? at::kFloat : compute_dtype;
  }

  at::Tensor dequantized(at::ScalarType dtype, at::ScalarType rounding) const {
    at::Tensor out = workspace->get(nf4.shape[0], nf4.shape[1], dtype, nf4.packed.device());
    ops::nf4_dequantize(nf4, out, rounding);
    return out;
  }

  at::Tensor forward_weight() const {
    if (compute_dtype == at::kDouble) return dequantized(at::kFloat, at::kFloat).to(at::kDouble);
    return dequantized(product_dtype(), compute_dtype);
  }

  at::Tensor backward_weight() const {
    const bool rounds_once = nf4.dtype == at::kFloat || nf4.dtype == compute_dtype;
    if (rounds_once && compute_dtype != at::kDouble) return dequantized(product_dtype(), compute_dtype);
    return dequantized(at::kFloat, nf4.dtype).to(compute_dtype).to(product_dtype());
  }

  at::Tensor operand(const at::Tensor& t) const { return t.to(compute_dtype).to(product_dtype()); }

  at::Tensor product(const at::Tensor& a, const at::Tensor& weight) const {
    return ops::mm(operand(a), weight).to(compute_dtype).to(a.scalar_type());
  }

  at::Tensor product_plus(const at::Tensor& bias, const at::Tensor& x) const {
    return ops::addmm(operand(bias), operand(x), forward_weight().t()).to(compute_dtype).to(x.scalar_type());
  }
};

at::Tensor DenseWorkspace::get(std::int64_t rows, std::int64_t columns, at::ScalarType dtype, at::Device device) {
  const std::int64_t bytes = rows * columns * static_cast<std::int64_t>(c10::elementSize(dtype));
  if (!bytes_.defined() || bytes_.numel() < bytes || bytes_.device() != device) {
    bytes_.reset();  // the old one goes before the new one comes
    bytes_ = at::empty({bytes}, at::TensorOptions().dtype(at::kByte).device(device));
  }
  return bytes_.narrow(0, 0, bytes).view(dtype).view({rows, columns});
}

FrozenLinear::FrozenLinear(ops::Nf4Tensor weight, at::ScalarType compute_dtype,
                           std::shared_ptr<DenseWorkspace> workspace)
    : quantized_(std::make_shared<const Quantized>(Quantized{std::move(weight), compute_dtype, std::move(workspace)})) {
}

at::Tensor FrozenLinear::forward(const at::Tensor& x) const {
  if (!bias_.defined()) return product(x);
  return quantized_ ? quantized_->product_plus(bias_, x) : ops::addmm(bias_, x, weight_.t());
}

at::Tensor FrozenLinear::product(const at::Tensor& x) const {
  return quantized_ ? quantized_->product(x, quantized_->forward_weight().t()) : ops::mm(x, weight_.t());
}

at::Tensor FrozenLinear::backward(const at::Tensor& dy) const {
  return quantized_ ? quantized_->product(dy, quantized_->backward_weight()) : ops::mm(dy, weight_);
}

void FrozenLinear::backward_add(const at::Tensor& dy, at::Tensor& dx) const {
  if (!quantized_) {
    ops::addmm_(dx, dy, weight_);
  } else if (dx.scalar_type() != quantized_->compute_dtype) {
    dx.add_(backward(dy));
  } else {
    const at::Tensor sum = quantized_->operand(dx);  // dx itself where nothing is widened
    ops::addmm_(sum, quantized_->operand(dy), quantized_->backward_weight());
    if (!sum.is_same(dx)) dx.copy_(sum);
  }
}

std::int64_t FrozenLinear::out_features() const { return quantized_ ? quantized_->nf4.shape[0] : weight_.size(0); }

std::int64_t FrozenLinear::in_features() const { return quantized_ ? quantized_->nf4.shape[1] : weight_.size(1); }

const ops::Nf4Tensor& FrozenLinear::quantized() const {
  core::require(is_quantized(), "this weight is not quantised");
  return quantized_->nf4;
}

at::Tensor FrozenLinear::dense() const {
  return quantized_ ? quantized_->dequantized(quantized_->nf4.dtype, quantized_->nf4.dtype) : weight_;
}

}  // namespace allreco::model
