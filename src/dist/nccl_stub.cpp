// Linked in builds without CUDA.
#include "core/check.h"
#include "dist/gpu_placement.h"
#include "dist/nccl_api.h"

namespace allreco::dist {

std::unique_ptr<NcclApi> make_nccl_api(int, const NcclOptions&) {
  core::user_error("this build has no NCCL; build with ./launch/build.sh cuda");
}

GpuIdentity identify_gpu(int) { core::user_error("this build has no CUDA; build with ./launch/build.sh cuda"); }

}  // namespace allreco::dist
