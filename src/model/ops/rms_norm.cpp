#include "model/ops/rms_norm.h"

#include "model/ops/checks.h"

namespace allreco::model::ops {
namespace {

void check_arguments(const char* op, const at::Tensor& x, const NormWeight& weight) {
  check_floating(op, "x", x);
  check_like(op, "x", x, x, {-1, -1});
  check_like(op, "weight", weight.weight, x, {x.size(1)});
}

}  // namespace

NormOutput rms_norm(const at::Tensor& x, const NormWeight& weight, double eps) {
  check_arguments("rms_norm", x, weight);
  return x.is_cuda() ? cuda::rms_norm(x, weight, eps) : cpu::rms_norm(x, weight, eps);
}

NormOutput add_rms_norm(at::Tensor& x, const at::Tensor& delta, const NormWeight& weight, double eps) {
  check_arguments("add_rms_norm", x, weight);
  check_like("add_rms_norm", "delta", delta, x, {x.size(0), x.size(1)});
  return x.is_cuda() ? cuda::add_rms_norm(x, delta, weight, eps) : cpu::add_rms_norm(x, delta, weight, eps);
}

at::Tensor rms_norm_recompute(const at::Tensor& x, const at::Tensor& rstd, const NormWeight& weight) {
  check_arguments("rms_norm_recompute", x, weight);
  check_dense("rms_norm_recompute", "rstd", rstd, accumulate_dtype(x), x, {x.size(0)});
  return x.is_cuda() ? cuda::rms_norm_recompute(x, rstd, weight) : cpu::rms_norm_recompute(x, rstd, weight);
}

void rms_norm_backward_add(at::Tensor& dx, const at::Tensor& dy, const at::Tensor& x, const at::Tensor& rstd,
                           const NormWeight& weight) {
  constexpr const char* kOp = "rms_norm_backward_add";
  check_arguments(kOp, x, weight);
  check_like(kOp, "dx", dx, x, {x.size(0), x.size(1)});
  check_like(kOp, "dy", dy, x, {x.size(0), x.size(1)});
  check_dense(kOp, "rstd", rstd, accumulate_dtype(x), x, {x.size(0)});
  x.is_cuda() ? cuda::rms_norm_backward_add(dx, dy, x, rstd, weight)
              : cpu::rms_norm_backward_add(dx, dy, x, rstd, weight);
}

}  // namespace allreco::model::ops
