// Every backward of the decoder against libtorch's autograd on a naive decoder and against numeric differences, in
// float64.
#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/max.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/random.h"
#include "model/decoder/decoder.h"
#include "model/decoder/decoder_cases.h"
#include "model/decoder/naive_decoder.h"

namespace allreco::model {
namespace {

using testing::NaiveDecoder;
using testing::rounding_of;
using testing::worst_difference;
using Fixture = testing::DecoderFixture;
using Tokens = std::vector<std::int32_t>;

class DecoderGradientTest : public ::testing::TestWithParam<testing::DecoderCase> {};
const auto kNameOfCase = [](const auto& tested) { return tested.param.name; };
INSTANTIATE_TEST_SUITE_P(Shapes, DecoderGradientTest, ::testing::ValuesIn(testing::lora_cases()), kNameOfCase);
INSTANTIATE_TEST_SUITE_P(Families, DecoderGradientTest, ::testing::ValuesIn(testing::family_cases()), kNameOfCase);

TEST_P(DecoderGradientTest, EqualsAutogradOnTheNaiveDecoder) {
  Fixture f(GetParam());
  testing::expect_step_equals_naive(f);
}

TEST_P(DecoderGradientTest, EqualsNumericDifferences) {
  Fixture f(GetParam());
  Decoder decoder(f.config, f.weights, &f.store);
  const PackedBatch batch = f.batch({0, 1, 2});
  const auto nll = [&] {
    if (f.store.frozen_pair().defined()) f.store.refresh_compute_copy();  // else the parameters are what is multiplied
    return decoder.forward_backward(batch, {.gradient_scale = 1, .dropout_key = testing::kStepKey});
  };
  nll();
  const at::Tensor gradients = f.store.gradients().clone();
  auto* p = f.store.parameters().data_ptr<double>();
  const double tolerance = 1e-6 * std::max(1.0, gradients.abs().max().item<double>());
  core::RandomStream stream(5);
  for (int trial = 0; trial < 40; ++trial) {
    const auto i = static_cast<std::int64_t>(stream.next_below(static_cast<std::uint64_t>(f.store.num_parameters())));
    const double value = p[i], h = 1e-6;
    p[i] = value + h;
    const double above = nll();
    p[i] = value - h;
    const double below = nll();
    p[i] = value;
    // Central differences: rounding eps * nll / h = 1e-16 * 300 / 1e-6 = 3e-8; truncation is h^2/6 times the third
    // derivative: 3e-7 of the largest gradient at worst here, and a hundred times that at h = 1e-5, as it should be.
    EXPECT_NEAR((above - below) / (2 * h), gradients[i].item<double>(), tolerance) << "parameter " << i;
  }
}

TEST_P(DecoderGradientTest, CheckpointingAndPackingChangeNothing) {
  Fixture f(GetParam());
  Decoder decoder(f.config, f.weights, &f.store);
  decoder.forward_backward(f.batch({0, 1, 2}), {.gradient_scale = 0.5, .dropout_key = testing::kStepKey});
  const at::Tensor together = f.store.gradients().clone();

  f.store.zero_gradients();
  std::vector<std::int64_t> layers;
  TrainPass pass{.gradient_scale = 0.5, .dropout_key = testing::kStepKey, .gradient_checkpointing = true};
  pass.layer_done = [&](std::int64_t layer) { layers.push_back(layer); };
  decoder.forward_backward(f.batch({0, 1, 2}), pass);
  EXPECT_TRUE(f.store.gradients().equal(together));  // the same operations on the same operands
  std::vector<std::int64_t> last_to_first;
  for (std::int64_t layer = f.config.num_hidden_layers; layer-- > 0;) last_to_first.push_back(layer);
  EXPECT_EQ(layers, last_to_first);

  f.store.zero_gradients();
  for (size_t i : {2u, 0u, 1u})
    decoder.forward_backward(f.batch({i}), {.gradient_scale = 0.5, .dropout_key = testing::kStepKey});
  EXPECT_LT(worst_difference(f.store.gradients(), together), rounding_of(together));  // another order of sums
}

TEST_P(DecoderGradientTest, BranchesScoreLikeWholeSequences) {
  Fixture f(GetParam());
  Decoder decoder(f.config, f.weights, &f.store);
  const Tokens prompt{1, 5, 9, 2, 7, 7, 30}, first{4, 8, 3}, second{6}, third{11, 12, 13, 14};
  PackedBatchBuilder shared, whole;
  const std::int64_t parent = shared.add_prompt(prompt);
  for (const Tokens& answer : {first, second, third}) {
    shared.add_branch(parent, static_cast<std::int64_t>(prompt.size()), answer);
    Tokens joined = prompt;
    joined.insert(joined.end(), answer.begin(), answer.end());
    whole.add_example(joined, static_cast<std::int64_t>(prompt.size()));
  }
  const at::Tensor a = decoder.log_probabilities(shared.build()), b = decoder.log_probabilities(whole.build());
  ASSERT_EQ(a.numel(), 8);
  EXPECT_LT(worst_difference(a, b), 1e-11);
}

/// Two prompts with branches off branches, in random order; every segment with all the tokens before it.
struct RandomTree {
  struct Member {
    std::int64_t parent = -1, shared_length = 0;
    Tokens own, path;  // path: the whole sequence, own tokens at its end
    std::uint64_t key = 0;
  };
  explicit RandomTree(std::uint64_t seed) {
    core::RandomStream stream(core::mix_key(seed, {core::key_of("tree")}));
    for (std::int64_t s = 0; s < 24; ++s) {
      Member m;
      for (std::uint64_t i = 0, n = 1 + stream.next_below(s < 2 ? 9 : 4); i < n; ++i)
        m.own.push_back(static_cast<std::int32_t>(stream.next_below(37)));
      if (s >= 2) {
        // Mostly off one of the last, so that the tree gets deep, and mostly behind its end.
        m.parent = s - 1 - static_cast<std::int64_t>(stream.next_below(stream.next_below(3) == 0 ? s : 2));
        const Member& parent = members[static_cast<size_t>(m.parent)];
        m.shared_length = std::ssize(parent.path);
        if (stream.next_below(3) == 0)
          m.shared_length = 1 + static_cast<std::int64_t>(stream.next_below(parent.path.size()));
        m.path.assign(parent.path.begin(), parent.path.begin() + m.shared_length);
        m.key = parent.key;
      } else {
        m.key = static_cast<std::uint64_t>(10 + s);
      }
      m.path.insert(m.path.end(), m.own.begin(), m.own.end());
      members.push_back(std::move(m));
    }
  }
  /// Appends member s; its targets are its own tokens but the very first of a sequence.
  void add_to(PackedBatchBuilder& builder, size_t s, bool with_targets = true) const {
    const Member& m = members[s];
    if (m.parent < 0) {
      builder.add_example(m.own, 0, m.key);
    } else if (with_targets) {
      builder.add_branch(m.parent, m.shared_length, m.own);
    } else {
      builder.add_path(m.parent, m.shared_length, m.own);
    }
  }

  std::vector<Member> members;
};

TEST_P(DecoderGradientTest, TreesOfSegmentsEqualTheirPathsAlone) {
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    Fixture f(GetParam());
    Decoder decoder(f.config, f.weights, &f.store);
    const RandomTree tree(seed);
    PackedBatchBuilder builder;
    for (size_t s = 0; s < tree.members.size(); ++s) tree.add_to(builder, s);
    const PackedBatch batch = builder.build();
    std::int64_t deepest = 0;
    for (const Segment& segment : batch.segments) {
      std::int64_t depth = 0;
      for (std::int64_t p = segment.parent; p >= 0; p = batch.segments[static_cast<size_t>(p)].parent) ++depth;
      deepest = std::max(deepest, depth);
    }
    EXPECT_GE(deepest, 5) << "no deep tree: the test shows little";

    const at::Tensor log_p = decoder.log_probabilities(batch);
    const double p = f.store.config().lora_dropout;
    const double nll = decoder.forward_backward(batch, {.gradient_scale = 0.1, .dropout_key = testing::kStepKey});
    NaiveDecoder naive(f.config, f.weights, &f.store);
    double expected_nll = 0;
    for (size_t s = 0; s < tree.members.size(); ++s) {
      const RandomTree::Member& m = tree.members[s];
      double sum = 0;
      for (std::int64_t i = batch.prediction_offsets[s]; i < batch.prediction_offsets[s + 1]; ++i)
        sum -= log_p[i].item<double>();
      EXPECT_NEAR(sum, naive.nll_sum(m.path, m.shared_length).item<double>(), 1e-10) << "segment " << s;
      const at::Tensor loss = naive.nll_sum(m.path, m.shared_length, f.dropped({m.path, 0, m.key}, p));
      expected_nll += loss.item<double>();
      if (loss.requires_grad()) (loss * 0.1).backward();
    }
    EXPECT_NEAR(nll, expected_nll, 1e-10);
    for (const LoraEntry& entry : f.store.entries()) {
      const at::Tensor expected = naive.gradient(entry.name);
      EXPECT_LT(worst_difference(LoraStore::view_of(f.store.gradients(), entry), expected), rounding_of(expected))
          << entry.name;
    }
  }
}

TEST_P(DecoderGradientTest, BranchesInLaterPassesEqualOnePass) {
  Fixture f(GetParam());
  Decoder decoder(f.config, f.weights, &f.store);
  const RandomTree tree(4);
  PackedBatchBuilder builder;
  for (size_t s = 0; s < tree.members.size(); ++s) tree.add_to(builder, s);
  const PackedBatch whole = builder.build();
  const at::Tensor expected = decoder.log_probabilities(whole);

  // Three passes; a branch's first token is predicted in the pass of its parent's row, so only own rows are asked here.
  KeyValueCache cache = decoder.make_cache(whole.num_tokens());
  PackedBatchBuilder pass;
  PackedBatch last;
  std::int64_t num_compared = 0;
  for (const auto& [begin, end] : std::vector<std::pair<size_t, size_t>>{{0, 5}, {5, 6}, {6, tree.members.size()}}) {
    pass = begin == 0 ? PackedBatchBuilder() : PackedBatchBuilder(last);
    for (size_t s = begin; s < end; ++s) {
      const RandomTree::Member& m = tree.members[s];
      tree.add_to(pass, s, /*with_targets=*/false);
      if (m.parent < 0) continue;
      for (size_t i = 1; i < m.own.size(); ++i)
        pass.predict(static_cast<std::int64_t>(s), m.shared_length + static_cast<std::int64_t>(i), m.own[i]);
    }
    last = pass.build();
    const at::Tensor log_p = decoder.log_probabilities(last, &cache);
    for (size_t s = begin; s < end; ++s) {
      const std::int64_t count = last.prediction_offsets[s + 1] - last.prediction_offsets[s];
      const std::int64_t skipped = tree.members[s].parent < 0 ? 0 : 1;
      for (std::int64_t i = 0; i < count; ++i, ++num_compared) {
        EXPECT_NEAR(log_p[last.prediction_offsets[s] + i].item<double>(),
                    expected[whole.prediction_offsets[s] + skipped + i].item<double>(), 1e-11);
      }
    }
  }
  EXPECT_GT(num_compared, 20);
  PackedBatchBuilder late(last);
  EXPECT_THROW(late.predict(0, 1, 3), core::Fault);  // its row is of an earlier pass
  EXPECT_THROW(late.add_branch(0, 1, Tokens{3}), core::Fault);
  late.add_path(0, 1, Tokens{3});
  EXPECT_THROW(decoder.log_probabilities(late.build()), core::Fault);  // without the cache
}

TEST_P(DecoderGradientTest, GenerationTakesTheLikeliestTokens) {
  Fixture f(GetParam());
  Decoder decoder(f.config, f.weights, &f.store);
  const std::vector<Tokens> prompts{{1, 5, 9, 2}, {3}, {7, 7, 30, 8, 12, 20, 2, 1, 4}};
  const auto generated = decoder.generate_greedy(prompts, 12, {36});
  NaiveDecoder naive(f.config, f.weights, &f.store);
  for (size_t i = 0; i < prompts.size(); ++i) {
    Tokens tokens = prompts[i], expected;
    while (expected.size() < 12) {
      const at::Tensor logits = naive.logits(tokens);
      const auto best = static_cast<std::int32_t>(logits[logits.size(0) - 1].argmax().item<std::int64_t>());
      if (best == 36) break;
      tokens.push_back(best);
      expected.push_back(best);
    }
    EXPECT_EQ(generated[i], expected) << "prompt " << i;
  }
}

}  // namespace
}  // namespace allreco::model
