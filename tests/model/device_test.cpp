// Choosing the device. What needs a GPU is left to launch/gpu_check.sh.
#include "model/device.h"

#include <gtest/gtest.h>

#include "golden.h"

namespace allreco::model {
namespace {

using testing::user_error_of;

TEST(Device, CpuIsAlwaysThereAndTakesNoDeviceMemory) {
  EXPECT_TRUE(choose_device("cpu", 0).is_cpu());
  EXPECT_EQ(peak_device_bytes(choose_device("cpu", 3)), 0);
  EXPECT_EQ(choose_device("auto", 0).is_cuda(), num_cuda_devices() > 0);
}

TEST(Device, WhatIsMissingIsSaid) {
  EXPECT_NE(user_error_of([] { choose_device("gpu", 0); }).find("expected auto, cpu or cuda"), std::string::npos);
  // One beyond the last: no CUDA in this build, no GPU, or not so many, and each message says what to do.
  const std::string message = user_error_of([] { choose_device("cuda", num_cuda_devices()); });
  EXPECT_NE(message.find("device = cuda"), std::string::npos) << message;
  const bool says_what_to_do = message.find("preset cuda") != std::string::npos ||
                               message.find("nvidia-smi") != std::string::npos ||
                               message.find("one rank per GPU") != std::string::npos;
  EXPECT_TRUE(says_what_to_do) << message;
}

}  // namespace
}  // namespace allreco::model
