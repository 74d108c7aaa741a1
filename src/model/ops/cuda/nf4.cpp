#include "core/check.h"
#include "model/ops/backends.h"

namespace allreco::model::ops::cuda {

void nf4_quantize_blocks(const at::Tensor&, std::int64_t, at::Tensor&, at::Tensor&) {
  core::fault("NF4 on a GPU is not in this build");
}

void nf4_dequantize(const Nf4Tensor&, at::Tensor&, at::ScalarType) { core::fault("NF4 on a GPU is not in this build"); }

}  // namespace allreco::model::ops::cuda
