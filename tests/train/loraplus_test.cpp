// LoRA+: the B factors learn at their own rate.
#include <gtest/gtest.h>

#include "train/adamw.h"
#include "train/adamw8bit.h"
#include "train/files.h"
#include "train/optimizer_cases.h"

namespace allreco::train {
namespace {

/// Each tensor of a run with LoRA+ equals that of a plain run at its own rate.
template <class T>
void expect_two_rates() {
  constexpr double kRatio = 16;
  const auto plus = mixed_slices(kRatio), plain = mixed_slices(1);
  core::RandomStream random(3);
  const at::Tensor start = random_tensor(size_of(plus), random);
  at::Tensor both = start.clone(), slow = start.clone(), fast = start.clone();
  T both_optimizer(both, plus, {.weight_decay = 0.1}), slow_optimizer(slow, plain, {.weight_decay = 0.1}),
      fast_optimizer(fast, plain, {.weight_decay = 0.1});
  run_steps(both_optimizer, start.numel(), 1e-3);
  run_steps(slow_optimizer, start.numel(), 1e-3);
  run_steps(fast_optimizer, start.numel(), 1e-3 * kRatio);
  for (const ParamGroup& slice : plus) {
    const auto part = [&](const at::Tensor& flat) { return flat.slice(0, slice.begin, slice.begin + slice.numel()); };
    const at::Tensor expected = part(slice.learning_rate_factor == 1 ? slow : fast);
    // The fused 32-bit kernel computes the elements behind its last whole vector with other roundings.
    EXPECT_LT(largest_difference(part(both), expected), 1e-6) << slice.name;
    EXPECT_GT(largest_difference(part(slow), part(fast)), 1e-3) << slice.name;
  }
}

TEST(LoraPlus, EqualsTwoRunsWithTwoRates) {
  expect_two_rates<AdamW>();
  expect_two_rates<AdamW8Bit>();
}

TEST(LoraPlus, RaisesTheRateOfTheBFactors) {
  const model::LoraStore store(model::read_model_config(fixture("golden/llama-tiny")), {.r = 4}, at::kFloat, 1);
  std::int64_t end = 0;
  for (const ParamGroup& slice : param_groups(store, 16)) {
    EXPECT_EQ(slice.learning_rate_factor, slice.name.find("lora_B") != std::string::npos ? 16 : 1) << slice.name;
    EXPECT_EQ(slice.begin, end);
    end += slice.numel();
  }
  EXPECT_EQ(end, store.num_parameters());
  EXPECT_EQ(group_by_rate(param_groups(store)).size(), 1u);
  EXPECT_EQ(group_by_rate(param_groups(store))[0].stretches.size(), 1u) << "without LoRA+ one pass over all";
}

}  // namespace
}  // namespace allreco::train
