// The functions of the CPU kernels against the C library.
#include "model/ops/cpu/kernels.h"

#include <ATen/ops/linspace.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>

#include "model/ops/compare.h"
#include "model/ops/cpu/softmax_kernels.inc"

namespace allreco::model::ops {
namespace {

TEST(OpsKernels, TheVariableOfLibtorchCapsTheInstructionSet) {
  const char* const limit = std::getenv("ATEN_CPU_CAPABILITY");
  if (limit == nullptr) return;
  EXPECT_NE(cpu::instruction_set(), cpu::InstructionSet::avx512) << limit;
  if (std::string(limit) == "default") {
    EXPECT_EQ(cpu::instruction_set(), cpu::InstructionSet::baseline);
  }
}

TEST(OpsKernels, ExponentialIsGoodToTwoUnits) {
  const at::Tensor x = at::linspace(-87.3, 88.3, 1000003, at::kFloat);
  const at::Tensor wanted = x.to(at::kDouble).exp();
  cpu::kernels<cpu::SoftmaxKernels<float>>().scaled_softmax(x.mutable_data_ptr<float>(), x.numel(), 0.0f, 1.0f);
  expect_close(x, wanted, 0, 1.2e-7, "exp");
  float ends[] = {-90, -1e30f, -std::numeric_limits<float>::infinity(), 0, 89, std::nanf("")};
  cpu::kernels<cpu::SoftmaxKernels<float>>().scaled_softmax(ends, 6, 0.0f, 1.0f);
  EXPECT_TRUE(ends[0] == 0 && ends[1] == 0 && ends[2] == 0 && ends[3] == 1);
  EXPECT_TRUE(ends[4] == std::numeric_limits<float>::infinity() && std::isnan(ends[5]));
}

/// Under a cap of 1 a logit is tanh(x), and the gradient exp(tanh(x)) (1 - tanh(x)^2).
TEST(OpsKernels, HyperbolicTangentAndItsSlopeAreGoodToFourUnits) {
  constexpr double kUnit = 0x1p-23;
  const auto& kernels = cpu::kernels<cpu::SoftmaxKernels<float>>();
  for (const double end : {1e-30, 1e-3, 0.7, 3.0, 12.0, 40.0}) {
    const at::Tensor x = at::linspace(-end, end, 200001, at::kFloat), x64 = x.to(at::kDouble);
    at::Tensor tanh = x.clone(), gradient = x.clone();
    kernels.soft_cap(tanh.mutable_data_ptr<float>(), x.numel(), 1.0f);
    expect_close(tanh, x64.tanh(), 0x1p-126, 4 * kUnit, "tanh to " + std::to_string(end));
    kernels.capped_scaled_softmax(gradient.mutable_data_ptr<float>(), x.numel(), 0.0f, 1.0f, 1.0f);
    const at::Tensor slope = x64.cosh().square().reciprocal();
    // exp(tanh) has tanh's 4 units absolute and 2 of its own, the slope 4, and the products 1.
    expect_close(gradient, x64.tanh().exp() * slope, 0x1p-126, 11 * kUnit, "slope to " + std::to_string(end));
  }
  float ends[] = {-std::numeric_limits<float>::infinity(), -1e30f, -0.0f, 0.0f, 1e30f, std::nanf("")};
  kernels.soft_cap(ends, 6, 1.0f);
  EXPECT_TRUE(ends[0] == -1 && ends[1] == -1 && ends[2] == 0 && ends[3] == 0 && ends[4] == 1 && std::isnan(ends[5]));
}

}  // namespace
}  // namespace allreco::model::ops
