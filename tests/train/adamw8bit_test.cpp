#include "train/adamw8bit.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <vector>

#include "core/random.h"
#include "model/checkpoint/safetensors.h"
#include "model/ops/dynamic_map.h"
#include "train/files.h"
#include "train/optimizer_cases.h"

namespace allreco::train {
namespace {

/// The parts of the state by name.
std::map<std::string, at::Tensor> state_of(const Optimizer& optimizer) {
  std::map<std::string, at::Tensor> parts;
  for (const model::NamedTensor& part : optimizer.named_views(optimizer.state())) parts[part.name] = part.tensor;
  return parts;
}

std::int64_t num_different(const at::Tensor& a, const at::Tensor& b) { return a.ne(b).sum().item<std::int64_t>(); }

// bitsandbytes' own run: five steps, each restarted from the state that it stored. The codes and absmax are those of
// its CPU kernel to the bit. The parameters differ in few elements, by an ulp: torch's sqrt there (MKL's) is not
// rounded correctly for every value, ours is.
TEST(AdamW8Bit, ReproducesBitsandbytes) {
  const model::SafetensorsFile golden(fixture("golden/adam8bit/adam8bit.safetensors"));
  const std::int64_t n = golden.tensor("p.initial").numel();
  const std::int64_t num_small = golden.tensor("small.initial").numel();
  ASSERT_GE(n, kMin8BitSize);
  ASSERT_LT(num_small, kMin8BitSize);
  at::Tensor flat = at::empty({num_small + n}, at::kFloat), gradients = at::empty_like(flat);
  const at::Tensor small = flat.slice(0, 0, num_small), p = flat.slice(0, num_small);
  small.copy_(golden.tensor("small.initial").view(-1));
  p.copy_(golden.tensor("p.initial").view(-1));
  AdamW8Bit optimizer(flat, {{"small", 0, {num_small}}, {"p", num_small, {n}}}, {.weight_decay = 0.01});
  auto state = state_of(optimizer);
  for (int s = 1; s <= 5; ++s) {
    const auto stored = [&](const char* name) { return golden.tensor(fmt::format("step{}.{}", s, name)).view(-1); };
    gradients.slice(0, 0, num_small).copy_(stored("small.grad"));
    gradients.slice(0, num_small).copy_(stored("p.grad"));
    optimizer.step(gradients, 1e-3);
    EXPECT_EQ(num_different(state["state1.p"], stored("state1")), 0) << "step " << s;
    EXPECT_EQ(num_different(state["state2.p"], stored("state2")), 0) << "step " << s;
    EXPECT_EQ(num_different(state["absmax1.p"], stored("absmax1")), 0) << "step " << s;
    EXPECT_EQ(num_different(state["absmax2.p"], stored("absmax2")), 0) << "step " << s;
    EXPECT_LT(num_different(p, stored("p")), n / 50) << "step " << s;
    EXPECT_LT(largest_difference(p, stored("p")), 6e-8) << "an ulp of 0.5 to 1; |p| < 1. Step " << s;
    EXPECT_LT(largest_difference(small, stored("small")), 1e-6) << "step " << s;
    for (const char* name : {"state1", "state2", "absmax1", "absmax2"})
      state[std::string(name) + ".p"].copy_(stored(name));
    p.copy_(stored("p"));
  }
}

/// The formulas of the header in double, from the moments as the maps give them.
struct NaiveStep {
  std::vector<double> p, m, v;
};

NaiveStep naive_step(const at::Tensor& p, const at::Tensor& g, const at::Tensor& m, const at::Tensor& v, int t,
                     double lr, double decay, double factor) {
  NaiveStep result;
  for (std::int64_t i = 0; i < p.numel(); ++i) {
    const double gradient = factor * static_cast<double>(g.const_data_ptr<float>()[i]);
    const double new_m = 0.9 * static_cast<double>(m.const_data_ptr<float>()[i]) + 0.1 * gradient;
    const double new_v = 0.99 * static_cast<double>(v.const_data_ptr<float>()[i]) + 0.01 * gradient * gradient;
    const double root = std::sqrt(new_v / (1 - std::pow(0.99, t)));
    result.p.push_back(static_cast<double>(p.const_data_ptr<float>()[i]) * (1 - lr * decay) -
                       lr / (1 - std::pow(0.9, t)) * new_m / (root + 1e-6));
    result.m.push_back(new_m);
    result.v.push_back(new_v);
  }
  return result;
}

/// Moments as float32, by the definition of the format.
at::Tensor dequantized(const at::Tensor& codes, const at::Tensor& absmax, bool is_signed) {
  const at::Tensor map = model::ops::dynamic_map(is_signed);
  at::Tensor values = at::empty({codes.numel()}, at::kFloat);
  for (std::int64_t i = 0; i < codes.numel(); ++i) {
    values.mutable_data_ptr<float>()[i] =
        map.const_data_ptr<float>()[codes.const_data_ptr<std::uint8_t>()[i]] * absmax.const_data_ptr<float>()[i / 256];
  }
  return values;
}

/// Half the widest gap between neighbours of a map, where the values lie: what quantisation may move a fraction by.
double half_gap_at(const at::Tensor& map, double fraction) {
  const auto* values = map.const_data_ptr<float>();
  const auto* upper = std::lower_bound(values, values + 256, static_cast<float>(fraction));
  if (upper == values) return static_cast<double>(values[0]) - fraction;  // below the lowest: -0.993
  return upper == values + 256 ? 0 : static_cast<double>(upper[0] - upper[-1]) / 2;
}

void expect_within_half_a_gap(const at::Tensor& stored, const std::vector<double>& exact, const at::Tensor& absmax,
                              bool is_signed) {
  const at::Tensor map = model::ops::dynamic_map(is_signed);
  for (std::int64_t i = 0; i < stored.numel(); ++i) {
    const double largest = static_cast<double>(absmax.const_data_ptr<float>()[i / 256]);
    const double x = exact[static_cast<size_t>(i)];
    // Room for float32: m and v round three times, the fraction twice.
    const double bound = largest * (std::abs(half_gap_at(map, x / largest)) + 8 * 0x1p-24);
    ASSERT_LE(std::abs(static_cast<double>(stored.const_data_ptr<float>()[i]) - x), bound) << i << " " << is_signed;
  }
}

TEST(AdamW8Bit, FollowsADoubleLoopAndQuantisesWithinHalfAGap) {
  constexpr std::int64_t kCount = 20 * 256 + 77;  // a short last block
  core::RandomStream random(5);
  at::Tensor p = random_tensor(kCount, random);
  AdamW8Bit optimizer(p, {{"p", 0, {kCount}}}, {.beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-6, .weight_decay = 0.1});
  auto state = state_of(optimizer);
  for (int t = 1; t <= 8; ++t) {
    const at::Tensor g = random_tensor(kCount, random, t % 2 == 0 ? 1e-3 : 1);
    const double lr = t == 1 ? 0 : 0.01;
    const NaiveStep exact = naive_step(p, g, dequantized(state["state1.p"], state["absmax1.p"], true),
                                       dequantized(state["state2.p"], state["absmax2.p"], false), t, lr, 0.1, 0.5);
    optimizer.step(g, lr, 0.5);
    for (std::int64_t i = 0; i < kCount; ++i) {
      // |p| < 8 rounds twice (2^-22 each at most); the update, below 0.1 here, adds some roundings of 2^-24 relative.
      ASSERT_NEAR(p.const_data_ptr<float>()[i], exact.p[static_cast<size_t>(i)], 1e-6) << i << " step " << t;
    }
    expect_within_half_a_gap(dequantized(state["state1.p"], state["absmax1.p"], true), exact.m, state["absmax1.p"],
                             true);
    expect_within_half_a_gap(dequantized(state["state2.p"], state["absmax2.p"], false), exact.v, state["absmax2.p"],
                             false);
  }
}

TEST(AdamW8Bit, ABlockNeverSpansTwoTensors) {
  const auto slices = mixed_slices(4);
  const std::int64_t count = size_of(slices);
  core::RandomStream random(3);
  const at::Tensor start = random_tensor(count, random);
  at::Tensor together = start.clone();
  AdamW8Bit all(together, slices, {.weight_decay = 0.1});
  run_steps(all, count, 1e-2);
  const auto state = state_of(all);
  for (const ParamGroup& slice : slices) {
    at::Tensor alone = start.slice(0, slice.begin, slice.begin + slice.numel()).clone();
    AdamW8Bit one(alone, {{slice.name, 0, slice.shape}}, {.weight_decay = 0.1});
    core::RandomStream again(9);
    for (int t = 1; t <= 4; ++t) {
      const at::Tensor gradients = random_tensor(count, again).slice(0, slice.begin, slice.begin + slice.numel());
      one.step(gradients.clone(), 1e-2 * slice.learning_rate_factor, 0.7);
    }
    EXPECT_EQ(num_different(together.slice(0, slice.begin, slice.begin + slice.numel()), alone), 0) << slice.name;
    for (const auto& [name, part] : state_of(one)) EXPECT_TRUE(at::equal(part, state.at(name))) << name;
  }
}

TEST(AdamW8Bit, AnyNumberOfThreadsGivesTheSameBits) {
  const auto slices = mixed_slices(4);
  const int num_threads = at::get_num_threads();
  std::vector<at::Tensor> parameters;
  std::vector<std::vector<at::Tensor>> states;
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    core::RandomStream random(3);
    at::Tensor p = random_tensor(size_of(slices), random);
    AdamW8Bit optimizer(p, slices, {.weight_decay = 0.1});
    run_steps(optimizer, p.numel(), 1e-2);
    parameters.push_back(p);
    states.push_back(optimizer.state());
  }
  at::set_num_threads(num_threads);
  for (size_t i = 1; i < parameters.size(); ++i) {
    EXPECT_TRUE(at::equal(parameters[i], parameters[0]));
    for (size_t part = 0; part < states[i].size(); ++part) EXPECT_TRUE(at::equal(states[i][part], states[0][part]));
  }
}

// What a GPU would run, on CPU tensors. Its products may be fused or not, so a fraction within 2^-22 of a midpoint may
// take the other code: of 256 codes' midpoints some 1e-4 of the values come that near.
TEST(AdamW8Bit, TheDevicePathAgreesWithTheCpuKernel) {
  constexpr std::int64_t kCount = 40 * 256 + 100;
  core::RandomStream random(13);
  const at::Tensor start = random_tensor(kCount, random);
  const auto state = [] {
    return model::ops::AdamW8BitState{at::zeros({kCount}, at::kByte), at::zeros({kCount}, at::kByte),
                                      at::zeros({41}, at::kFloat), at::zeros({41}, at::kFloat)};
  };
  const model::ops::AdamW8BitMaps maps(at::kCPU);
  at::Tensor by_kernel = start.clone(), by_aten = start.clone();
  auto kernel_state = state(), aten_state = state();
  for (int t = 1; t <= 5; ++t) {
    const at::Tensor g = random_tensor(kCount, random);
    g.slice(0, 256, 512).zero_();
    const model::ops::AdamW8BitStep step{
        .learning_rate = 1e-2, .weight_decay = 0.1, .num_updates = t, .gradient_factor = 0.3};
    model::ops::cpu::adamw8bit_in_place(by_kernel, g, kernel_state, maps, step);
    model::ops::cuda::adamw8bit_in_place(by_aten, g, aten_state, maps, step);
    EXPECT_LT(largest_difference(by_kernel, by_aten), 1e-6);
    EXPECT_LE(num_different(kernel_state.codes1, aten_state.codes1), 10);
    EXPECT_LE(num_different(kernel_state.codes2, aten_state.codes2), 10);
    EXPECT_LT(largest_difference(kernel_state.absmax1, aten_state.absmax1), 1e-6);
    EXPECT_LT(largest_difference(kernel_state.absmax2, aten_state.absmax2), 1e-6);
    by_aten.copy_(by_kernel);  // one other code must not spoil the rest
    aten_state = {kernel_state.codes1.clone(), kernel_state.codes2.clone(), kernel_state.absmax1.clone(),
                  kernel_state.absmax2.clone()};
  }
}

std::int64_t bytes_of(const Optimizer& optimizer) {
  std::int64_t bytes = 0;
  for (const at::Tensor& buffer : optimizer.state()) bytes += static_cast<std::int64_t>(buffer.nbytes());
  return bytes;
}

TEST(AdamW8Bit, KeepsTwoBytesAParameterInsteadOfEight) {
  for (const std::int64_t r : {16, 64, 128}) {
    const model::LoraStore store(model::read_model_config(fixture("golden/llama-tiny")), {.r = r}, at::kFloat, 1);
    const auto per_parameter = [&](OptimizerType type) {
      return static_cast<double>(bytes_of(*make_optimizer(type, store, {}))) /
             static_cast<double>(store.num_parameters());
    };
    const double wide = per_parameter(OptimizerType::adamw_torch), narrow = per_parameter(OptimizerType::adamw_8bit);
    fmt::print("r {}: {:.3f} bytes of optimiser state a parameter with adamw_torch, {:.3f} with adamw_8bit\n", r, wide,
               narrow);
    EXPECT_EQ(wide, 8);
    double expected = 0;  // 2 codes and 2 absmax in 256, or two float32
    for (const model::LoraEntry& entry : store.entries())
      expected += static_cast<double>(entry.numel()) * (entry.numel() >= 4096 ? 2 + 8.0 / 256 : 8);
    EXPECT_NEAR(narrow, expected / static_cast<double>(store.num_parameters()), 1e-3);
    if (r == 128) {
      EXPECT_LT(narrow, 2.04) << "no factor is small";
    }
  }
}

}  // namespace
}  // namespace allreco::train
