// The exponential of the CPU kernels against the C library, and all op tests again on the instruction sets below the
// best that this processor has.
#include "model/ops/cpu/kernels.h"

#include <ATen/ops/linspace.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>

#include "model/ops/compare.h"

namespace allreco::model::ops {
namespace {

TEST(OpsKernels, ExponentialIsGoodToTwoUnits) {
  const at::Tensor x = at::linspace(-87.3, 88.3, 1000003, at::kFloat);
  const at::Tensor wanted = x.to(at::kDouble).exp();
  cpu::kernel_table().f32.scaled_softmax(x.mutable_data_ptr<float>(), x.numel(), 0.0f, 1.0f);
  expect_close(x, wanted, 0, 1.2e-7, "exp");
  float ends[] = {-90, -1e30f, -std::numeric_limits<float>::infinity(), 0, 89, std::nanf("")};
  cpu::kernel_table().f32.scaled_softmax(ends, 6, 0.0f, 1.0f);
  EXPECT_TRUE(ends[0] == 0 && ends[1] == 0 && ends[2] == 0 && ends[3] == 1);
  EXPECT_TRUE(ends[4] == std::numeric_limits<float>::infinity() && std::isnan(ends[5]));
}

TEST(OpsKernels, OlderInstructionSetsPassTheSameTests) {
  if (std::getenv("ATEN_CPU_CAPABILITY") != nullptr) {
    return;  // a run started below
  }
  for (const char* capability : {"default", "avx2"}) {
    const std::string command = std::string("ATEN_CPU_CAPABILITY=") + capability + " \"$(readlink -f /proc/" +
                                std::to_string(getpid()) + "/exe)\" --gtest_brief=1 --gtest_filter='Ops*' 2>&1";
    FILE* const pipe = popen(command.c_str(), "r");
    ASSERT_NE(pipe, nullptr);
    std::string said;
    for (int c = fgetc(pipe); c != EOF; c = fgetc(pipe)) {
      said += static_cast<char>(c);
    }
    EXPECT_EQ(pclose(pipe), 0) << command << "\n" << said;
  }
}

}  // namespace
}  // namespace allreco::model::ops
