// Every backward of the decoder against libtorch's autograd on a naive decoder and against numeric differences, in
// float64.
#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/max.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/random.h"
#include "model/decoder/decoder.h"
#include "model/decoder/naive_decoder.h"
#include "model/ops/dropout.h"

namespace allreco::model {
namespace {

using testing::NaiveDecoder;
using Tokens = std::vector<std::int32_t>;

struct Case {
  std::string name;
  ModelConfig config;
  LoraConfig lora;
};

ModelConfig tiny(std::int64_t heads, std::int64_t kv_heads, std::int64_t head_dim) {
  ModelConfig c;
  c.vocab_size = 37;
  c.hidden_size = 24;
  c.intermediate_size = 40;
  c.num_hidden_layers = 3;
  c.layers.resize(3);
  c.num_attention_heads = heads;
  c.num_key_value_heads = kv_heads;
  c.head_dim = head_dim;
  return c;
}

std::vector<Case> cases() {
  Case plain{"gqa", tiny(4, 2, 6), {}};
  plain.lora.r = 3;
  Case window{"window", tiny(2, 1, 16), {}};
  for (LayerAttention& layer : window.config.layers) layer.window = 5;
  window.config.tie_word_embeddings = true;
  window.lora.r = 2;
  window.lora.use_rslora = true;
  Case some{"some_targets", tiny(2, 2, 12), {}};
  some.lora.target_modules = {"v_proj", "up_proj"};
  some.lora.r = 4;
  Case mlp{"down_only", tiny(2, 2, 12), {}};
  mlp.lora.target_modules = {"down_proj"};
  Case dropout{"dropout", tiny(4, 2, 6), {}};
  dropout.lora.lora_dropout = 0.25;
  Case patterns{"patterns", tiny(4, 2, 6), {}};
  patterns.lora.r = 2;
  patterns.lora.rank_pattern = {{"k_proj", 4}, {"layers.2.mlp.up_proj", 1}};
  patterns.lora.alpha_pattern = {{"v_proj", 5}, {"(gate|down)_proj", 3}};
  patterns.lora.layers_to_transform = {1, 2};
  patterns.lora.lora_dropout = 0.25;
  Case dora{"dora", tiny(4, 2, 6), {}};
  dora.lora.r = 3;
  dora.lora.use_dora = true;
  dora.lora.use_rslora = true;
  dora.lora.rank_pattern = {{"v_proj", 2}};
  dora.lora.exclude_modules = {"up_proj"};
  Case dora_dropout = dora;
  dora_dropout.name = "dora_dropout";
  dora_dropout.lora.lora_dropout = 0.25;
  Case frozen_pair{"frozen_pair", tiny(4, 2, 6), {}};
  frozen_pair.lora.init_lora_weights = "pissa";
  frozen_pair.lora.r = 3;
  frozen_pair.lora.rank_pattern = {{"k_proj", 2}, {"layers.2.mlp.up_proj", 1}};
  frozen_pair.lora.alpha_pattern = {{"v_proj", 5}};
  frozen_pair.lora.exclude_modules = {"layers.0.self_attn.q_proj"};
  Case frozen_pair_dropout = frozen_pair;
  frozen_pair_dropout.name = "frozen_pair_dropout";
  frozen_pair_dropout.lora.lora_dropout = 0.25;
  return {plain, window, some, mlp, dropout, patterns, dora, dora_dropout, frozen_pair, frozen_pair_dropout};
}

/// A decoder in float64 with random base and random, not zero, factors; and a packed batch of three examples.
struct Fixture {
  explicit Fixture(const Case& c)
      : config(c.config), weights(random_weights(c.config, at::kDouble, 1)), store(c.config, c.lora, at::kDouble, 2) {
    core::RandomStream stream(3);
    auto* p = store.parameters().data_ptr<double>();
    for (std::int64_t i = 0; i < store.num_parameters(); ++i) p[i] = 0.2 * stream.next_normal();
    if (store.frozen_pair().defined()) {  // another one than the start: this is about the products
      auto* frozen = store.frozen_pair().data_ptr<double>();
      for (std::int64_t i = 0; i < store.num_parameters(); ++i) frozen[i] = 0.2 * stream.next_normal();
    }
    for (auto* w : {&weights.embedding, &weights.lm_head}) *w = *w * 5;  // logits of a size that matters
    if (config.tie_word_embeddings) weights.lm_head = weights.embedding;
    store.refresh_frozen_pair();
    store.refresh_compute_copy();
    std::int64_t key = 10;
    for (const auto& [length, prompt] : std::vector<std::pair<int, int>>{{9, 4}, {13, 0}, {2, 1}}) {
      Tokens tokens;
      for (int i = 0; i < length; ++i) tokens.push_back(static_cast<std::int32_t>(stream.next_below(37)));
      examples.push_back({tokens, prompt, static_cast<std::uint64_t>(key++)});
    }
  }
  struct Sample {
    Tokens tokens;
    std::int64_t prompt_length;
    std::uint64_t key;
  };
  PackedBatch batch(const std::vector<size_t>& which) const {
    PackedBatchBuilder builder;
    for (size_t i : which) builder.add_example(examples[i].tokens, examples[i].prompt_length, examples[i].key);
    return builder.build();
  }
  /// The dropout that the decoder applies to this example's rows, from the documented place of each mask.
  NaiveDecoder::Dropped dropped(const Sample& sample, double p) const {
    if (p == 0) return {};
    std::vector<std::int64_t> keys;
    for (size_t i = 0; i < sample.tokens.size(); ++i)
      keys.push_back(static_cast<std::int64_t>(core::mix_key(sample.key, {i})));
    const at::Tensor row_keys = at::tensor(keys, at::kLong);
    return [row_keys, p](Projection projection, std::int64_t layer, const at::Tensor& x) {
      const std::uint64_t layer_key = core::mix_key(99, {static_cast<std::uint64_t>(layer)});
      const std::uint64_t key = core::mix_key(layer_key, {index_of(projection)});
      const at::Tensor mask = ops::dropout(at::ones_like(x.detach()), row_keys, key, p);
      return x * mask;
    };
  }

  ModelConfig config;
  Weights weights;
  LoraStore store;
  std::vector<Sample> examples;
};

class DecoderGradientTest : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Shapes, DecoderGradientTest, ::testing::ValuesIn(cases()),
                         [](const auto& tested) { return tested.param.name; });

double worst_difference(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

/// What float64 may lose: sums of some hundred terms, each rounded by 1e-16 of the largest (the window case has
/// gradients of some hundreds), are good to about 1e-13 of that size; ten times that.
double rounding_of(const at::Tensor& expected) { return 1e-12 * std::max(1.0, expected.abs().max().item<double>()); }

TEST_P(DecoderGradientTest, EqualsAutogradOnTheNaiveDecoder) {
  Fixture f(GetParam());
  Decoder decoder(f.config, f.weights, &f.store);
  const double scale = 1.0 / 22, p = f.store.config().lora_dropout;
  const double nll = decoder.forward_backward(f.batch({0, 1, 2}), {.gradient_scale = scale, .dropout_key = 99});

  NaiveDecoder naive(f.config, f.weights, &f.store);
  double expected_nll = 0;
  for (const auto& sample : f.examples) {
    const at::Tensor loss = naive.nll_sum(sample.tokens, sample.prompt_length, f.dropped(sample, p));
    expected_nll += loss.item<double>();
    (loss * scale).backward();
  }
  EXPECT_NEAR(nll, expected_nll, 1e-10);
  for (const LoraEntry& entry : f.store.entries()) {
    const at::Tensor gradient = LoraStore::view_of(f.store.gradients(), entry);
    const at::Tensor expected = naive.gradient(entry.name);
    EXPECT_LT(worst_difference(gradient, expected), rounding_of(expected)) << entry.name;
    EXPECT_GT(gradient.abs().max().item<double>(), 1e-6) << entry.name << " has no gradient: the test shows nothing";
  }
}

TEST_P(DecoderGradientTest, EqualsNumericDifferences) {
  Fixture f(GetParam());
  Decoder decoder(f.config, f.weights, &f.store);
  const PackedBatch batch = f.batch({0, 1, 2});
  const auto nll = [&] {
    if (f.store.frozen_pair().defined()) f.store.refresh_compute_copy();  // else the parameters are what is multiplied
    return decoder.forward_backward(batch, {.gradient_scale = 1, .dropout_key = 99});
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
  decoder.forward_backward(f.batch({0, 1, 2}), {.gradient_scale = 0.5, .dropout_key = 99});
  const at::Tensor together = f.store.gradients().clone();

  f.store.zero_gradients();
  std::vector<std::int64_t> layers;
  TrainPass pass{.gradient_scale = 0.5, .dropout_key = 99, .gradient_checkpointing = true};
  pass.layer_done = [&](std::int64_t layer) { layers.push_back(layer); };
  decoder.forward_backward(f.batch({0, 1, 2}), pass);
  EXPECT_TRUE(f.store.gradients().equal(together));  // the same operations on the same operands
  EXPECT_EQ(layers, (std::vector<std::int64_t>{2, 1, 0}));

  f.store.zero_gradients();
  for (size_t i : {2u, 0u, 1u}) decoder.forward_backward(f.batch({i}), {.gradient_scale = 0.5, .dropout_key = 99});
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
    const double nll = decoder.forward_backward(batch, {.gradient_scale = 0.1, .dropout_key = 99});
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
