// Every family's decoder against the naive one: dense and in NF4, with all forms of LoRA, in bfloat16, and generating.
#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "model/decoder/decoder.h"
#include "model/decoder/decoder_cases.h"
#include "model/decoder/naive_decoder.h"
#include "model/lora/dora.h"
#include "model/lora/weight_init.h"

namespace allreco::model {
namespace {

using testing::DecoderCase;
using testing::NaiveDecoder;
using Fixture = testing::DecoderFixture;
using Storage = Fixture::Storage;
using Tokens = std::vector<std::int32_t>;

constexpr std::array kStorages{Storage::dense, Storage::nf4};
std::string name_of(Storage storage) { return storage == Storage::dense ? "dense" : "NF4"; }

/// Logits of every position: one more token at the end makes the last position predict something.
at::Tensor all_logits(Decoder& decoder, Tokens tokens) {
  tokens.push_back(0);
  PackedBatchBuilder builder;
  builder.add_example(tokens, 0);
  return decoder.logits(builder.build());
}

class FamilyTest : public ::testing::TestWithParam<DecoderCase> {};
INSTANTIATE_TEST_SUITE_P(Families, FamilyTest, ::testing::ValuesIn(testing::family_cases()),
                         [](const auto& tested) { return tested.param.name; });

TEST_P(FamilyTest, LogitsLossAndGradientsEqualTheNaiveDecoder) {
  for (const Storage storage : kStorages) {
    SCOPED_TRACE(name_of(storage));
    Fixture f(GetParam(), storage);
    Decoder decoder(f.config, f.weights, &f.store);
    const NaiveDecoder naive(f.config, f.weights, &f.store);
    for (const auto& sample : f.examples) {
      const at::Tensor expected = naive.logits(sample.tokens).detach();
      EXPECT_GT(expected.abs().max().item<double>(), 0.5) << "logits near zero: the test shows nothing";
      EXPECT_LT(testing::worst_difference(all_logits(decoder, sample.tokens), expected), 1e-11);
    }
    testing::expect_step_equals_naive(f);
  }
}

/// The likeliest next tokens until the end or 12, each from the whole text anew.
Tokens generate_without_cache(const NaiveDecoder& naive, Tokens text, std::int32_t end) {
  Tokens generated;
  while (generated.size() < 12) {
    const at::Tensor logits = naive.logits(text);
    const auto best = static_cast<std::int32_t>(logits[logits.size(0) - 1].argmax().item<std::int64_t>());
    if (best == end) break;
    text.push_back(best);
    generated.push_back(best);
  }
  return generated;
}

// Texts become longer than the windows, or start so.
TEST_P(FamilyTest, GeneratingWithTheCacheEqualsComputingTheTextAgain) {
  const std::vector<Tokens> prompts{{1, 5, 9, 2}, {3}, {7, 7, 30, 8, 12, 20, 2, 1, 4}};
  for (const Storage storage : kStorages) {
    SCOPED_TRACE(name_of(storage));
    Fixture f(GetParam(), storage);
    Decoder decoder(f.config, f.weights, &f.store);
    const NaiveDecoder naive(f.config, f.weights, &f.store);
    const auto generated = decoder.generate_greedy(prompts, 12, {36});
    std::vector<Tokens> expected;
    for (const Tokens& prompt : prompts) expected.push_back(generate_without_cache(naive, prompt, 36));
    EXPECT_EQ(generated, expected);
    std::set<std::int32_t> different;
    for (const Tokens& text : expected) different.insert(text.begin(), text.end());
    EXPECT_GT(different.size(), 2u) << "one token over and over";
  }
}

/// All forms of LoRA on a family with biases everywhere and on Gemma.
std::vector<DecoderCase> forms() {
  std::vector<DecoderCase> cases;
  for (const char* family : {"llama_bias", "gemma3"}) {
    DecoderCase plain = testing::family_case(family);
    const auto add = [&](const std::string& name, auto change) {
      DecoderCase form = plain;
      form.name = plain.name + "_" + name;
      form.lora.r = 3;
      change(form.lora);
      cases.push_back(form);
      form.name += "_dropout";
      form.lora.lora_dropout = 0.25;
      cases.push_back(form);
    };
    add("rslora", [](LoraConfig& lora) { lora.use_rslora = true; });
    add("dora", [](LoraConfig& lora) { lora.use_dora = true; });
    add("pissa", [](LoraConfig& lora) { lora.init_lora_weights = "pissa"; });
    add("patterns", [](LoraConfig& lora) {
      lora.target_modules = {"q_proj", "v_proj", "down_proj"};
      lora.layers_to_transform = {1};
      lora.rank_pattern = {{"q_proj", 5}};
      lora.alpha_pattern = {{"down_proj", 3}};
    });
  }
  return cases;
}

class FamilyLoraTest : public ::testing::TestWithParam<DecoderCase> {};
INSTANTIATE_TEST_SUITE_P(Forms, FamilyLoraTest, ::testing::ValuesIn(forms()),
                         [](const auto& tested) { return tested.param.name; });

TEST_P(FamilyLoraTest, EqualsTheNaiveDecoderAndCheckpointingChangesNoBit) {
  for (const Storage storage : kStorages) {
    SCOPED_TRACE(name_of(storage));
    Fixture f(GetParam(), storage);
    testing::expect_step_equals_naive(f);
    const at::Tensor kept = f.store.gradients().clone();
    f.store.zero_gradients();
    Decoder decoder(f.config, f.weights, &f.store);
    TrainPass pass{.gradient_scale = 1.0 / 22, .dropout_key = testing::kStepKey, .gradient_checkpointing = true};
    decoder.forward_backward(f.batch({0, 1, 2}), pass);
    EXPECT_TRUE(at::equal(f.store.gradients(), kept));
  }
}

// PEFT's starts change nothing: DoRA's magnitudes are the norms of the rows, and PiSSA takes from the base what its
// factors hold. The bias is no part of either.
TEST_P(FamilyLoraTest, StartsAsTheBaseModel) {
  if (GetParam().lora.lora_dropout > 0) return;  // the same start
  for (const Storage storage : kStorages) {
    SCOPED_TRACE(name_of(storage));
    Fixture f(GetParam(), storage);
    LoraStore store(f.config, GetParam().lora, at::kDouble, 7);
    init_magnitudes(store, f.weights);
    if (store.frozen_pair().defined()) {
      for (std::int64_t layer = 0; layer < f.config.num_hidden_layers; ++layer)
        init_layer_from_weights(store, f.weights, layer, 7);
      store.frozen_pair().copy_(store.parameters());
      store.refresh_frozen_pair();
    }
    store.refresh_compute_copy();
    Decoder started(f.config, f.weights, &store), base(f.config, f.weights, nullptr),
        trained(f.config, f.weights, &f.store);
    const Tokens& ids = f.examples[0].tokens;
    const at::Tensor expected = all_logits(base, ids);
    EXPECT_LT(testing::worst_difference(all_logits(started, ids), expected), 1e-11);
    EXPECT_GT(testing::worst_difference(all_logits(trained, ids), expected), 1e-2) << "the factors do nothing";
  }
}

}  // namespace
}  // namespace allreco::model
