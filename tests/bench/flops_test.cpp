// The formula against the loops that it counts.
#include "bench/flops.h"

#include <gtest/gtest.h>

#include "bench/collectives.h"

namespace allreco::bench {
namespace {

model::ModelConfig small_config() {
  return model::parse_model_config(
      core::parse_json(R"({"model_type": "mistral", "vocab_size": 11, "hidden_size": 8, "intermediate_size": 12,
        "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 2, "sliding_window": 5,
        "max_position_embeddings": 64})",
                       "test"),
      "test");
}

/// Multiply-adds of one product, counted one by one.
double madds(std::int64_t rows, std::int64_t in, std::int64_t out) {
  double count = 0;
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < in; ++j)
      for (std::int64_t k = 0; k < out; ++k) count += 1;
  return count;
}

}  // namespace

TEST(Flops, CountWhatTheLoopsOfAStepDo) {
  const model::ModelConfig config = small_config();
  model::LoraConfig lora;
  lora.r = 3;
  lora.target_modules = {"q_proj", "down_proj"};
  const std::vector<ExampleSize> examples{{7, 4}, {3, 2}};
  StepFlop expected;
  for (const ExampleSize& e : examples) {
    for (int layer = 0; layer < 3; ++layer) {
      // q [8 -> 8], k and v [8 -> 4], o [8 -> 8], gate and up [8 -> 12], down [12 -> 8]: forward, and the input's
      // gradient
      const double frozen = madds(e.tokens, 8, 8) * 2 + madds(e.tokens, 8, 4) * 2 + madds(e.tokens, 8, 12) * 3;
      expected.projections += 2 * 2 * frozen;
      // x A^T, (x A^T) B^T, and for each two gradients
      const double factors =
          madds(e.tokens, 8, 3) + madds(e.tokens, 3, 8) + madds(e.tokens, 12, 3) + madds(e.tokens, 3, 8);
      expected.lora += 2 * 3 * factors;
      for (std::int64_t query = 0; query < e.tokens; ++query)
        for (std::int64_t key = 0; key < e.tokens; ++key) {
          if (key > query || key <= query - 5) continue;
          // q k^T and p v, and in backward dv, dp, dq, dk; of 4 heads with 2 numbers each
          expected.attention += 2 * (2 + 4) * 4 * 2;
        }
    }
    expected.loss_head += 2 * 2 * madds(e.supervised_tokens, 8, 11);
  }
  const StepFlop found = flop_of_step(config, lora, examples);
  EXPECT_EQ(found.projections, expected.projections);
  EXPECT_EQ(found.lora, expected.lora);
  EXPECT_EQ(found.attention, expected.attention);
  EXPECT_EQ(found.loss_head, expected.loss_head);
  EXPECT_EQ(found.total(), expected.projections + expected.lora + expected.attention + expected.loss_head);
}

TEST(Flops, EachShapeOfProductIsMeasuredOnce) {
  const std::vector<ProductSpeed> speeds = measure_products(small_config(), at::kFloat, at::kCPU, 9);
  ASSERT_EQ(speeds.size(), 4u);  // [8, 8], [8, 4], [8, 12], [12, 8]
  for (const ProductSpeed& speed : speeds) {
    EXPECT_EQ(speed.rows, 9);
    EXPECT_GT(speed.flop_per_second, 0);
  }
}

// nccl-tests, doc/PERFORMANCE.md: a ring of n ranks sends 2 (n - 1) / n of a sum over each link.
TEST(Collectives, BusBandwidthIsThatOfNcclTests) {
  EXPECT_EQ(bus_factor("all_reduce_sum", 1), 0);
  EXPECT_EQ(bus_factor("all_reduce_sum", 2), 1);
  EXPECT_EQ(bus_factor("all_reduce_sum", 8), 1.75);
  EXPECT_EQ(bus_factor("broadcast", 8), 1);
  EXPECT_EQ(bus_factor("tree_sum", 8), 3);
}

}  // namespace allreco::bench
