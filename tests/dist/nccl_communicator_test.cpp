// The NCCL plane's states on one rank, over the double, in a lone process: each error path aborts once and leaves NCCL
// alone afterwards. The double ends a process that breaks NCCL's rules.
#include "dist/nccl_communicator.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/check.h"
#include "dist/nccl_double.h"
#include "dist/test_session.h"
#include "dist/watchdog.h"
#include "support/lone_session.h"
#include "support/message_of.h"

namespace allreco::dist {
namespace {

using Calls = std::vector<std::string>;

/// A session of its own, since some tests leave it out of step.
class NcclPlane : public ::testing::Test {
 protected:
  std::unique_ptr<Communicator> start(const NcclScript& script = {}) {
    session_.set_timeout(0.2);
    return make_nccl_communicator(session_, [&] { return make_nccl_double(script, calls_); });
  }
  Calls calls() const { return *calls_; }
  bool out_of_step() { return session_.watchdog().out_of_step(); }

  at::Tensor tensor_ = at::full({7}, 3, at::kLong);

 private:
  support::LoneSession lone_;
  Session& session_ = lone_.get();
  NcclCalls calls_ = std::make_shared<Calls>();
};

bool is_in(const std::string& part, const std::string& whole) { return whole.find(part) != std::string::npos; }

}  // namespace

TEST_F(NcclPlane, EndsInOrderWhenAllIsWell) {
  {
    const auto plane = start({.polls_until_settled = 3, .polls_until_ready = 4});
    plane->all_reduce_sum(tensor_);
    plane->broadcast(tensor_, 0);
    plane->start_tree_sum(tensor_)->wait();  // of one rank: nobody to exchange with
  }
  EXPECT_EQ(calls(), (Calls{"init", "all_reduce_sum", "broadcast", "finalize", "destroy"}));
  EXPECT_TRUE(at::equal(tensor_, at::full({7}, 3, at::kLong)));
  EXPECT_FALSE(out_of_step());
}

TEST_F(NcclPlane, AFailedStartIsAborted) {
  EXPECT_TRUE(is_in("NCCL failed in init", support::message_of<core::Fault>([&] { start({.fails_at = 0}); })));
  EXPECT_EQ(calls(), (Calls{"init", "abort"}));
}

TEST_F(NcclPlane, AStartThatNeverSettlesTimesOut) {
  EXPECT_TRUE(is_in("starting NCCL did not finish within 0.2 s",
                    support::message_of<core::Fault>([&] { start({.never_settles_at = 0}); })));
  EXPECT_EQ(calls(), (Calls{"init", "abort"}));
}

TEST_F(NcclPlane, ACallThatFailsIsAbortedAndNothingFollows) {
  {
    const auto plane = start({.fails_at = 2});
    plane->all_reduce_sum(tensor_);
    EXPECT_TRUE(
        is_in("NCCL failed in broadcast", support::message_of<core::Fault>([&] { plane->broadcast(tensor_, 0); })));
    EXPECT_TRUE(
        is_in("aborted after an error", support::message_of<core::Fault>([&] { plane->broadcast(tensor_, 0); })));
    EXPECT_TRUE(is_in("aborted after an error",
                      support::message_of<core::Fault>([&] { plane->start_all_reduce_sum(tensor_); })));
  }
  EXPECT_EQ(calls(), (Calls{"init", "all_reduce_sum", "broadcast", "abort"}));
}

TEST_F(NcclPlane, PollAbortsAsWaitDoes) {
  for (const bool polls : {true, false}) {
    const auto plane = start({.fails_after = 1});
    const auto work = plane->start_all_reduce_sum(tensor_);
    const std::string message = support::message_of<core::Fault>([&] {
      if (polls)
        work->poll();
      else
        work->wait();
    });
    EXPECT_TRUE(is_in("NCCL failed in the background", message)) << message;
    EXPECT_EQ(calls().back(), "abort");
    EXPECT_TRUE(is_in("aborted after an error", support::message_of<core::Fault>([&] { work->wait(); })));
  }
}

TEST_F(NcclPlane, WhatIsDoneStaysDoneAfterAnAbort) {
  const auto plane = start({.fails_at = 2});
  const auto first = plane->start_all_reduce_sum(tensor_);
  const auto waited = plane->start_tree_sum(tensor_);
  waited->wait();
  EXPECT_TRUE(first->poll());
  EXPECT_TRUE(is_in("NCCL failed", support::message_of<core::Fault>([&] { plane->start_all_reduce_sum(tensor_); })));
  first->wait();
  EXPECT_TRUE(waited->poll());
}

TEST_F(NcclPlane, EveryWaitTimesOut) {
  const std::vector<NcclScript> scripts{{.never_settles_at = 1}, {.gpu_hangs_at = 1}, {.never_done_at = 1}};
  for (const NcclScript& script : scripts) {
    const auto plane = start(script);
    EXPECT_TRUE(is_in("NCCL all_reduce_sum did not finish",
                      support::message_of<core::Fault>([&] { plane->all_reduce_sum(tensor_); })));
    EXPECT_EQ(calls().back(), "abort");
  }
}

TEST_F(NcclPlane, AnExceptionInItsWayAbortsInsteadOfEnding) {
  const std::string message = support::message_of<core::Fault>([&] {
    const auto plane = start();
    plane->all_reduce_sum(tensor_);
    core::fault("the disk is full");
  });
  EXPECT_EQ(message.find("the disk is full"), 0u) << message;
  EXPECT_EQ(calls(), (Calls{"init", "all_reduce_sum", "abort"}));
}

// The sums' works and tensors are gone before the plane is, as an error on its way leaves them.
TEST_F(NcclPlane, BuffersOutliveAnAbort) {
  const std::string message = support::message_of<core::Fault>([&] {
    const auto plane = start({.never_done_at = 2});
    plane->all_reduce_sum(tensor_);
    plane->start_all_reduce_sum(at::full({7}, 3, at::kLong));
    core::fault("the disk is full");
  });
  EXPECT_TRUE(is_in("the disk is full", message)) << message;
  EXPECT_EQ(calls(), (Calls{"init", "all_reduce_sum", "all_reduce_sum", "abort"}));
}

TEST_F(NcclPlane, AnEndThatFailsLeavesTheSessionOutOfStep) {
  start({.finalize_fails = true});
  EXPECT_EQ(calls(), (Calls{"init", "finalize", "abort"}));
  EXPECT_TRUE(out_of_step());
}

TEST_F(NcclPlane, AnEndThatHangsLeavesTheSessionOutOfStep) {
  start({.finalize_never_settles = true});
  EXPECT_EQ(calls(), (Calls{"init", "finalize", "abort"}));
  EXPECT_TRUE(out_of_step());
}

TEST_F(NcclPlane, RefusesTensorsOfAnotherDevice) {
  const auto plane = start();
  const std::string message = support::message_of<core::Fault>([&] { plane->all_reduce_sum(tensor_.to(at::kMeta)); });
  EXPECT_TRUE(is_in("on cpu, not one on meta", message)) << message;
  EXPECT_EQ(calls(), Calls{"init"});
}

TEST(NcclCommunicator, RefusesADeviceThatIsNotThere) {
  const std::string message = support::message_of([] { make_nccl_communicator(test_session(), 1000); });
  EXPECT_TRUE(is_in("./launch/build.sh cuda", message) ||    // a build without NCCL
              is_in("was given CUDA device 1000", message))  // a build with it
      << message;
}

}  // namespace allreco::dist
