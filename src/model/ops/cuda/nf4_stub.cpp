// In place of nf4.cu in a build without CUDA.
#include "core/check.h"
#include "model/ops/cuda/nf4_launch.h"

namespace allreco::model::ops::cuda {
namespace {

[[noreturn]] void missing() {
  core::fault("NF4 on a GPU: this program was built without CUDA; build it with the cuda preset");
}

}  // namespace

void launch_nf4_quantize(const Nf4QuantizeArguments& /*arguments*/, Nf4Float /*type*/, void* /*stream*/) { missing(); }

void launch_nf4_dequantize(const Nf4DequantizeArguments& /*arguments*/, Nf4Float /*out*/, Nf4Float /*rounding*/,
                           void* /*stream*/) {
  missing();
}

}  // namespace allreco::model::ops::cuda
