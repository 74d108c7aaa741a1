// Choosing the device. What needs a GPU is left to launch/gpu_check.sh.
#include "model/device.h"

#include <ATen/Context.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "model/golden.h"
#include "support/message_of.h"

namespace allreco::model {
namespace {

TEST(Device, CpuIsAlwaysThereAndTakesNoDeviceMemory) {
  EXPECT_TRUE(choose_device("cpu", 0).is_cpu());
  EXPECT_EQ(peak_device_bytes(choose_device("cpu", 3)), 0);
  EXPECT_EQ(choose_device("auto", 0).is_cuda(), num_cuda_devices() > 0);
}

TEST(Device, WhatIsMissingIsSaid) {
  EXPECT_NE(support::message_of([] { choose_device("gpu", 0); }).find("expected auto, cpu or cuda"), std::string::npos);
  if (num_cuda_devices() > 0) return;  // then cuda is there, see below
  // No CUDA in this build, or no GPU, and each message says what to do.
  const std::string message = support::message_of([] { choose_device("cuda", 0); });
  EXPECT_NE(message.find("device = cuda"), std::string::npos) << message;
  const bool says_what_to_do =
      message.find("preset cuda") != std::string::npos || message.find("nvidia-smi") != std::string::npos;
  EXPECT_TRUE(says_what_to_do) << message;
}

TEST(Device, MoreRanksThanGpusBeginAgain) {
  const std::int64_t num_gpus = num_cuda_devices();
  if (num_gpus == 0) GTEST_SKIP() << "no GPU here";
  for (std::int64_t local_rank = 0; local_rank < 2 * num_gpus + 1; ++local_rank) {
    EXPECT_EQ(choose_device("cuda", local_rank).index(), local_rank % num_gpus);
  }
  choose_device("cuda", 0);  // the current device of the tests that follow
}

class DeviceDeterminism : public ::testing::Test {
 protected:
  void SetUp() override { ::unsetenv("CUBLAS_WORKSPACE_CONFIG"); }
  void TearDown() override {
    ::unsetenv("CUBLAS_WORKSPACE_CONFIG");
    at::globalContext().setDeterministicAlgorithms(false, false);
    at::globalContext().setDeterministicFillUninitializedMemory(true);
  }
  static std::string workspace() {
    const char* const value = std::getenv("CUBLAS_WORKSPACE_CONFIG");
    return value == nullptr ? "" : value;
  }
};

// What flash attention's backward and cuBLAS read; the bits themselves are compared by launch/gpu_check.sh.
TEST_F(DeviceDeterminism, AGpuGetsTheFlagsThatItsLibrariesRead) {
  compute_deterministically(at::Device(at::kCUDA, 0));
  EXPECT_TRUE(at::globalContext().deterministicAlgorithms());
  EXPECT_FALSE(at::globalContext().deterministicAlgorithmsWarnOnly());
  EXPECT_FALSE(at::globalContext().deterministicFillUninitializedMemory());
  EXPECT_EQ(workspace(), ":4096:8");
}

TEST_F(DeviceDeterminism, ACpuIsLeftAlone) {
  compute_deterministically(at::kCPU);
  EXPECT_FALSE(at::globalContext().deterministicAlgorithms());
  EXPECT_EQ(workspace(), "");
}

TEST_F(DeviceDeterminism, AWorkspaceThatForbidsItIsRefused) {
  ::setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8", 1);
  compute_deterministically(at::Device(at::kCUDA, 0));
  EXPECT_EQ(workspace(), ":16:8");
  ::setenv("CUBLAS_WORKSPACE_CONFIG", ":0:0", 1);
  const std::string message = support::message_of([] { compute_deterministically(at::Device(at::kCUDA, 0)); });
  EXPECT_NE(message.find("CUBLAS_WORKSPACE_CONFIG = :0:0"), std::string::npos) << message;
}

}  // namespace
}  // namespace allreco::model
