#include "model/decoder/packed_batch.h"

#include <gtest/gtest.h>

#include "core/check.h"

namespace allreco::model {
namespace {

using Ints = std::vector<std::int64_t>;
using Tokens = std::vector<std::int32_t>;

Ints ints(const at::Tensor& tensor) {
  EXPECT_EQ(tensor.scalar_type(), at::kLong);
  const auto* data = tensor.const_data_ptr<std::int64_t>();
  return {data, data + tensor.numel()};
}

}  // namespace

TEST(PackedBatch, TrainingBatchIsAStreamOfExamples) {
  PackedBatchBuilder builder;
  EXPECT_TRUE(builder.empty());
  EXPECT_EQ(builder.add_example(Tokens{10, 11, 12, 13, 14}, 3, 77), 0);
  EXPECT_EQ(builder.add_example(Tokens{20, 21, 22}, 0, 88), 1);  // no prompt: the first token cannot be predicted
  EXPECT_EQ(builder.add_example(Tokens{30, 31}, 1, 99), 2);
  EXPECT_EQ(builder.num_tokens(), 10);
  const PackedBatch batch = builder.build();
  EXPECT_EQ(ints(batch.tokens), (Ints{10, 11, 12, 13, 14, 20, 21, 22, 30, 31}));
  EXPECT_EQ(ints(batch.positions), (Ints{0, 1, 2, 3, 4, 0, 1, 2, 0, 1}));
  EXPECT_EQ(ints(batch.logit_rows), (Ints{2, 3, 5, 6, 8}));
  EXPECT_EQ(ints(batch.prediction_rows), (Ints{0, 1, 2, 3, 4}));  // the identity, as training requires
  EXPECT_EQ(ints(batch.targets), (Ints{13, 14, 21, 22, 31}));
  EXPECT_EQ(batch.prediction_offsets, (Ints{0, 2, 4, 5}));
  EXPECT_EQ(batch.sample_keys, (std::vector<std::uint64_t>{77, 88, 99}));
  ASSERT_EQ(batch.segments.size(), 3u);
  EXPECT_EQ(batch.segments[1].begin, 5);
  EXPECT_EQ(batch.segments[1].length, 3);
  EXPECT_EQ(batch.segments[1].parent, -1);
  EXPECT_EQ(batch.num_tokens(), 10);
  EXPECT_EQ(batch.num_predictions(), 5);
}

TEST(PackedBatch, BranchesShareTheRowThatPredictsTheirFirstToken) {
  PackedBatchBuilder builder;
  const auto first = builder.add_prompt(Tokens{1, 2, 3, 4});
  const auto a = builder.add_branch(first, 4, Tokens{5, 6});
  const auto second = builder.add_prompt(Tokens{7, 8}, /*last_row_logits=*/true);
  const auto b = builder.add_branch(first, 4, Tokens{9});
  const auto c = builder.add_branch(first, 2, Tokens{3, 5, 6});
  const PackedBatch batch = builder.build();
  EXPECT_EQ((Ints{first, a, second, b, c}), (Ints{0, 1, 2, 3, 4}));
  EXPECT_EQ(ints(batch.tokens), (Ints{1, 2, 3, 4, 5, 6, 7, 8, 9, 3, 5, 6}));
  EXPECT_EQ(ints(batch.positions), (Ints{0, 1, 2, 3, 4, 5, 0, 1, 4, 2, 3, 4}));
  // Row 3 for a and b, 4 for a's second token, 7 for the prompt to generate from, 1, 9, 10 for c.
  EXPECT_EQ(ints(batch.logit_rows), (Ints{1, 3, 4, 7, 9, 10}));
  EXPECT_EQ(ints(batch.prediction_rows), (Ints{1, 2, 1, 0, 4, 5}));
  EXPECT_EQ(ints(batch.targets), (Ints{5, 6, 9, 3, 5, 6}));
  EXPECT_EQ(batch.prediction_offsets, (Ints{0, 0, 2, 2, 3, 6}));
  EXPECT_EQ(batch.segments[4].parent, 0);
  EXPECT_EQ(batch.segments[4].shared_length, 2);
  EXPECT_EQ(batch.segments[4].begin, 9);
}

TEST(PackedBatch, BranchesOffBranchesFormATree) {
  PackedBatchBuilder builder;
  const auto prompt = builder.add_prompt(Tokens{1, 2, 3});
  const auto a = builder.add_branch(prompt, 3, Tokens{4, 5});
  const auto b = builder.add_branch(a, 4, Tokens{6});   // 1 2 3 4 | 6
  const auto c = builder.add_path(b, 5, Tokens{7, 8});  // 1 2 3 4 6 | 7 8
  const auto d = builder.add_branch(c, 2, Tokens{9});   // 1 2 | 9: what it shares is all the prompt's
  builder.predict(c, 6, 10);                            // after 1 2 3 4 6 7
  builder.predict(c, 1, 11);                            // after 1
  const PackedBatch batch = builder.build();
  EXPECT_EQ(ints(batch.positions), (Ints{0, 1, 2, 3, 4, 4, 5, 6, 2}));
  Ints parents, shared;
  for (const Segment& s : batch.segments) parents.push_back(s.parent), shared.push_back(s.shared_length);
  EXPECT_EQ(parents, (Ints{-1, prompt, a, b, prompt}));
  EXPECT_EQ(shared, (Ints{0, 3, 4, 5, 2}));
  // a: rows 2, 3; b: row 3; c: rows 6, 0; d: row 1.
  EXPECT_EQ(ints(batch.logit_rows), (Ints{0, 1, 2, 3, 6}));
  EXPECT_EQ(ints(batch.prediction_rows), (Ints{2, 3, 3, 4, 0, 1}));
  EXPECT_EQ(ints(batch.targets), (Ints{4, 5, 6, 10, 11, 9}));
  EXPECT_EQ(batch.prediction_offsets, (Ints{0, 0, 2, 3, 5, 6}));
  EXPECT_EQ(d, 4);
}

TEST(PackedBatch, GoesOnBehindABatchInACache) {
  PackedBatchBuilder builder;
  const auto prompt = builder.add_prompt(Tokens{1, 2, 3});
  const PackedBatch first = builder.build();
  PackedBatchBuilder next(first);
  EXPECT_TRUE(next.empty());
  const auto a = next.add_path(prompt, 3, Tokens{4, 5});
  next.predict(a, 4, 5);
  const PackedBatch second = next.build();
  EXPECT_EQ(second.first_row, 3);
  EXPECT_EQ(ints(second.tokens), (Ints{4, 5}));
  EXPECT_EQ(ints(second.positions), (Ints{3, 4}));
  EXPECT_EQ(second.segments[1].begin, 3);
  EXPECT_EQ(ints(second.logit_rows), (Ints{0}));
  EXPECT_EQ(second.prediction_offsets, (Ints{0, 0, 1}));
  EXPECT_THROW(next.predict(a, 3, 4), core::Fault);
}

TEST(PackedBatch, RefusesWhatCannotBe) {
  PackedBatchBuilder builder;
  EXPECT_THROW(builder.build(), core::Fault);
  EXPECT_THROW(builder.add_example(Tokens{}, 0), core::Fault);
  EXPECT_THROW(builder.add_example(Tokens{1}, 2), core::Fault);
  EXPECT_THROW(builder.add_branch(0, 1, Tokens{1}), core::Fault);
  const auto prompt = builder.add_prompt(Tokens{1, 2});
  EXPECT_THROW(builder.add_branch(prompt, 3, Tokens{1}), core::Fault);
  EXPECT_THROW(builder.add_branch(prompt, 0, Tokens{1}), core::Fault);
  const auto branch = builder.add_branch(prompt, 2, Tokens{3});
  EXPECT_THROW(builder.add_branch(branch, 4, Tokens{4}), core::Fault);
  EXPECT_THROW(builder.add_branch(branch, 0, Tokens{4}), core::Fault);
  EXPECT_THROW(builder.add_branch(2, 1, Tokens{4}), core::Fault);
  EXPECT_THROW(builder.predict(prompt, 3, 4), core::Fault);
}

}  // namespace allreco::model
