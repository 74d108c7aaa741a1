// In place of rms_norm.cu, rows.cu and cross_entropy.cu in a build without CUDA.
#include "core/check.h"
#include "model/ops/cuda/row_launch.h"

namespace allreco::model::ops::cuda {
namespace {

[[noreturn]] void missing(const char* op) {
  core::fault("{} on a GPU: this program was built without CUDA; build it with the cuda preset", op);
}

}  // namespace

void launch_rms_norm(const RmsNormArguments& /*arguments*/, RowFloat /*type*/, void* /*stream*/) {
  missing("rms_norm");
}
void launch_rms_norm_recompute(const RmsNormArguments& /*arguments*/, RowFloat /*type*/, void* /*stream*/) {
  missing("rms_norm_recompute");
}
void launch_rms_norm_backward_add(const RmsNormBackwardArguments& /*arguments*/, RowFloat /*type*/, void* /*stream*/) {
  missing("rms_norm_backward_add");
}
void launch_rope(const RopeArguments& /*arguments*/, RowFloat /*type*/, void* /*stream*/) { missing("rope"); }
void launch_gated_activation(const GatedActivationArguments& /*arguments*/, RowFloat /*type*/, void* /*stream*/) {
  missing("gated_activation");
}
void launch_gated_activation_backward(const GatedActivationBackwardArguments& /*arguments*/, RowFloat /*type*/,
                                      void* /*stream*/) {
  missing("gated_activation_backward");
}
void launch_dropout(const DropoutArguments& /*arguments*/, RowFloat /*type*/, void* /*stream*/) { missing("dropout"); }
void launch_cross_entropy(const CrossEntropyArguments& /*arguments*/, RowFloat /*type*/, void* /*stream*/) {
  missing("cross_entropy");
}
void launch_log_sum_exp(const LogSumExpArguments& /*arguments*/, RowFloat /*type*/, void* /*stream*/) {
  missing("gather_log_softmax");
}
void launch_gather_log_p(const GatherArguments& /*arguments*/, RowFloat /*type*/, void* /*stream*/) {
  missing("gather_log_softmax");
}

}  // namespace allreco::model::ops::cuda
