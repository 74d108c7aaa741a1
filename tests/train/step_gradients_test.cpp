#include "train/step_gradients.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/full_like.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "core/check.h"
#include "model/families/config.h"
#include "train/files.h"

namespace allreco::train {
namespace {

class Done final : public dist::Work {
 public:
  bool poll() override { return true; }
  void wait() override {}
};

/// As if a second rank had the same gradients: a sum doubles them. Throws when told to.
class TwinCommunicator final : public dist::Communicator {
 public:
  int rank() const override { return 0; }
  int world_size() const override { return 2; }
  std::unique_ptr<dist::Work> start_all_reduce_sum(at::Tensor tensor) override {
    if (is_broken) throw std::runtime_error("broken");
    tensor.mul_(2);
    ++num_sums;
    return std::make_unique<Done>();
  }
  std::unique_ptr<dist::Work> start_tree_sum(at::Tensor tensor) override { return start_all_reduce_sum(tensor); }
  void broadcast_piece(at::Tensor, int) override {}

  bool is_broken = false;
  int num_sums = 0;
};

struct TinyStep {
  explicit TinyStep(std::int64_t num_shards)
      : store(model::read_model_config(fixture("golden/llama-tiny")), {.r = 4}, at::kFloat, 1),
        gradients(twin, store, num_shards, dist::SumOrder::tree, /*overlap=*/true) {}
  /// Shards of gradients 1, 2, ..., all but the last ended.
  void fill(std::int64_t num_shards) {
    store.zero_gradients();
    for (std::int64_t shard = 1; shard <= num_shards; ++shard) {
      store.gradients().add_(shard);
      if (shard < num_shards) gradients.end_shard();
    }
  }
  bool all_are(double value) const { return at::equal(store.gradients(), at::full_like(store.gradients(), value)); }

  TwinCommunicator twin;
  model::LoraStore store;
  StepGradients gradients;
};

TEST(StepGradients, SumShardsAndRanksWhicheverLayersBackwardReports) {
  constexpr std::int64_t kNumShards = 4;
  TinyStep world(kNumShards);
  const std::int64_t num_layers = world.store.num_layers();
  for (std::int64_t num_reported = num_layers; num_reported >= 0; --num_reported) {
    world.fill(kNumShards);
    for (std::int64_t i = 0; i < num_reported; ++i) world.gradients.layer_done(num_layers - 1 - i);
    world.gradients.end_last_shard();
    world.gradients.finish();
    EXPECT_TRUE(world.all_are(2 * (1 + 2 + 3 + 4))) << num_reported << " layers reported";
  }
  EXPECT_FALSE(world.gradients.reducer_failed());
}

TEST(StepGradients, ARankThatFailedBeforeItsLastShardStillTakesPart) {
  TinyStep world(4);
  world.fill(2);  // one of four has ended, the second breaks off
  world.gradients.end_last_shard();
  world.gradients.finish();
  EXPECT_GT(world.twin.num_sums, 0);
  EXPECT_FALSE(world.gradients.reducer_failed());
}

TEST(StepGradients, SayWhetherTheReducerFailed) {
  TinyStep own(1);
  own.fill(1);
  EXPECT_THROW(own.gradients.layer_done(0), core::Fault) << "the highest layer is due";
  EXPECT_FALSE(own.gradients.reducer_failed());

  TinyStep common(1);
  common.fill(1);
  common.twin.is_broken = true;
  EXPECT_THROW(common.gradients.end_last_shard(), std::runtime_error);
  EXPECT_TRUE(common.gradients.reducer_failed());
}

}  // namespace
}  // namespace allreco::train
