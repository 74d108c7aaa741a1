// Linked when the program is built without CUDA kernels.
#include "core/check.h"
#include "model/ops/backends.h"

namespace allreco::model::ops::cuda {
namespace {

[[noreturn]] void not_built(const char* op) {
  core::user_error(
      "{}: expected a tensor on the CPU, found one on a GPU, but the device path of this op is not built; build with "
      "WITH_CUDA=ON or run on the CPU",
      op);
}

}  // namespace

NormOutput rms_norm(const at::Tensor&, const at::Tensor&, double) { not_built("rms_norm"); }
NormOutput add_rms_norm(at::Tensor&, const at::Tensor&, const at::Tensor&, double) { not_built("add_rms_norm"); }
at::Tensor rms_norm_recompute(const at::Tensor&, const at::Tensor&, const at::Tensor&) {
  not_built("rms_norm_recompute");
}
void rms_norm_backward_add(at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&) {
  not_built("rms_norm_backward_add");
}
void rope_in_place(at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, bool) { not_built("rope"); }
at::Tensor swiglu(const at::Tensor&, const at::Tensor&) { not_built("swiglu"); }
void swiglu_backward_in_place(const at::Tensor&, at::Tensor&, at::Tensor&) { not_built("swiglu_backward"); }
at::Tensor dropout(const at::Tensor&, const at::Tensor&, std::uint64_t, double) { not_built("dropout"); }
at::Tensor cross_entropy_with_gradient(at::Tensor&, const at::Tensor&, double) { not_built("cross_entropy"); }
at::Tensor gather_log_softmax(const at::Tensor&, const at::Tensor&, const at::Tensor&) {
  not_built("gather_log_softmax");
}
AttentionOutput attention(const at::Tensor&, const at::Tensor&, const at::Tensor&, const std::vector<AttentionSpan>&,
                          double, std::optional<std::int64_t>) {
  not_built("attention");
}
AttentionGradients attention_backward(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                                      const AttentionOutput&, const std::vector<AttentionSpan>&, double,
                                      std::optional<std::int64_t>) {
  not_built("attention_backward");
}

}  // namespace allreco::model::ops::cuda
