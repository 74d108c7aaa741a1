// Linked in builds without CUDA.
#include "core/check.h"
#include "dist/nccl_communicator.h"

namespace allreco::dist {

std::unique_ptr<Communicator> make_nccl_communicator(Session&, int) {
  core::user_error("this build has no NCCL; build with ./launch/build.sh cuda");
}

}  // namespace allreco::dist
