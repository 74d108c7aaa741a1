// Every data plane in one suite: self on one rank, MPI on more, and NCCL where the build and the machine have a GPU for
// each rank.
#include "dist/communicator.h"

#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <vector>

#include "core/check.h"
#include "dist/nccl_communicator.h"
#include "dist/test_session.h"

namespace allreco::dist {
namespace {

struct Plane {
  Communicator& communicator;
  at::Device device;
};

class MpiCommunicator : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    Session& session = test_session();
    const int num_gpus = at::detail::getCUDAHooks().deviceCount();
    if (num_gpus >= session.local_size())
      nccl_ = make_nccl_communicator(session, session.local_rank());
    else if (num_gpus > 0)
      std::fprintf(stderr, "NCCL is not tested: %d ranks share %d GPUs\n", session.local_size(), num_gpus);
  }
  static void TearDownTestSuite() { nccl_.reset(); }

  static std::vector<Plane> planes() {
    std::vector<Plane> all{{test_session().communicator(), at::kCPU}};
    if (nccl_)
      all.push_back({*nccl_, at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(test_session().local_rank()))});
    return all;
  }

  static inline std::unique_ptr<Communicator> nccl_;
};

}  // namespace

// rank r holds (r + 1) * (i mod 1000): sums stay below 2^24, where float32 is exact.
TEST_F(MpiCommunicator, SumsOfIntegersAreExactInEveryDtype) {
  for (const auto& [plane, device] : planes()) {
    const std::int64_t n = plane.world_size();
    EXPECT_EQ(plane.rank(), test_session().rank());
    for (at::ScalarType type : {at::kFloat, at::kDouble, at::kLong}) {
      for (std::int64_t size : {0, 1, 257, 300'007}) {
        const at::Tensor base = at::arange(size, at::kLong).remainder(1000).to(type);
        at::Tensor values = base.mul(plane.rank() + 1).to(device);
        plane.all_reduce_sum(values);
        EXPECT_TRUE(at::equal(values.cpu(), base.mul(n * (n + 1) / 2))) << at::toString(type) << " " << size;
      }
    }
  }
}

TEST_F(MpiCommunicator, SlicesUnderWayAtOnceLeaveTheRestAlone) {
  for (const auto& [plane, device] : planes()) {
    at::Tensor buffer = at::full({1000}, 1.0, at::kFloat).to(device);
    auto first = plane.start_all_reduce_sum(buffer.slice(0, 100, 400));
    auto second = plane.start_all_reduce_sum(buffer.slice(0, 500, 501));
    while (!second->poll()) {
    }
    second->wait();
    first->wait();
    EXPECT_TRUE(first->poll());
    at::Tensor expected = at::full({1000}, 1.0, at::kFloat);
    expected.slice(0, 100, 400).fill_(plane.world_size());
    expected.slice(0, 500, 501).fill_(plane.world_size());
    EXPECT_TRUE(at::equal(buffer.cpu(), expected));
  }
}

TEST_F(MpiCommunicator, BroadcastOfAnyDtypeFromAnyRoot) {
  for (const auto& [plane, device] : planes()) {
    for (int root = 0; root < plane.world_size(); ++root) {
      for (at::ScalarType type : {at::kBFloat16, at::kByte, at::kBool, at::kDouble}) {
        const at::Tensor expected = at::arange(70'000, at::kLong).remainder(2).to(type);
        at::Tensor values = (plane.rank() == root ? expected.clone() : at::zeros({70'000}, type)).to(device);
        plane.broadcast(values, root);
        EXPECT_TRUE(at::equal(values.cpu(), expected)) << at::toString(type) << " from " << root;
      }
    }
  }
}

// The large ones are allocated but never touched.
TEST_F(MpiCommunicator, RefusesWhatItCannotDo) {
  Communicator& plane = test_session().communicator();
  const std::int64_t too_many = std::int64_t{1} << 31;
  EXPECT_THROW(plane.all_reduce_sum(at::zeros({4}, at::kBFloat16)), core::Fault);
  EXPECT_THROW(plane.all_reduce_sum(at::zeros({4, 4}, at::kFloat).t()), core::Fault);
  EXPECT_THROW(plane.all_reduce_sum({}), core::Fault);
  EXPECT_THROW(plane.all_reduce_sum(at::empty({too_many}, at::kFloat)), core::Fault);
  EXPECT_THROW(plane.broadcast(at::zeros({4}), plane.world_size()), core::Fault);
  EXPECT_THROW(plane.broadcast(at::empty({too_many}, at::kByte), 0), core::Fault);
}

TEST(NcclCommunicator, RefusesADeviceThatIsNotThere) {
  try {
    make_nccl_communicator(test_session(), 1000);
    FAIL();
  } catch (const core::UserError& e) {
    const std::string message = e.what();
    EXPECT_TRUE(message.find("./launch/build.sh cuda") != std::string::npos ||    // a build without NCCL
                message.find("was given CUDA device 1000") != std::string::npos)  // a build with it
        << message;
  }
}

}  // namespace allreco::dist
