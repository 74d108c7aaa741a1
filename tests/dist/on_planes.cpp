#include "dist/on_planes.h"

#include <ATen/detail/CUDAHooksInterface.h>
#include <stdlib.h>

#include <cstdlib>

#include "dist/gpu_placement.h"
#include "dist/nccl_communicator.h"
#include "dist/nccl_double.h"
#include "dist/test_session.h"

namespace allreco::dist {
namespace {

/// The same bits in every run, see nccl_communicator.h. ALLRECO_TEST_NCCL_DEFAULTS: as NCCL chooses, in trainings too.
void make_nccl_deterministic() {
  if (std::getenv("ALLRECO_TEST_NCCL_DEFAULTS") != nullptr) return;
  for (const auto& [name, value] :
       {std::pair{"NCCL_ALGO", "Ring"}, {"NCCL_PROTO", "Simple"}, {"NCCL_NVLS_ENABLE", "0"}})
    ASSERT_EQ(::setenv(name, value, /*overwrite=*/1), 0);
}

/// A call takes a while to be taken in, and the GPUs are not equally fast.
std::unique_ptr<Communicator> plane_on_double(Session& session) {
  const NcclScript script{.polls_until_settled = 2, .polls_until_ready = 3 * session.rank()};
  return make_nccl_communicator(session,
                                [&] { return make_nccl_double(script, std::make_shared<std::vector<std::string>>()); });
}

}  // namespace

void OnPlane::SetUp() {
  Session& session = test_session();
  if (GetParam() == "nccl_double") own_ = plane_on_double(session);
  if (GetParam() != "nccl") return;
  const int num_gpus = at::detail::getCUDAHooks().deviceCount();
  if (num_gpus == 0) GTEST_SKIP() << "no GPU here: NCCL itself is not tested";
  device_ = at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(session.local_rank() % num_gpus));
  check_gpu_placement(session, device_, /*allow_gpu_sharing=*/true);
  make_nccl_deterministic();
  own_ = make_nccl_communicator(session, device_.index());
}

Communicator& OnPlane::plane() const { return own_ ? *own_ : test_session().communicator(); }

}  // namespace allreco::dist
