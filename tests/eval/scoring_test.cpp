// Loss, candidate scores and generation against paths that share as little as possible with them: whole sequences
// alone, loops over logits, golden files.
#include <ATen/ops/argmax.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/check.h"
#include "core/json.h"
#include "eval/generation.h"
#include "eval/loss.h"
#include "eval/ranking.h"
#include "eval/small_world.h"
#include "model/checkpoint/safetensors.h"
#include "support/lone_session.h"
#include "support/temporary_directory.h"

namespace allreco::eval {
namespace {

using testing::kEos;
using testing::TinyModel;
using Tokens = std::vector<data::TokenId>;

// float64 sums of some hundred terms of size 10 in another order: 1e-16 * 1e3 * 10 = 1e-12; two decades of room.
constexpr double kDoubleTolerance = 1e-10;

/// Sum of log p of the tokens from `begin` on, the sequence alone in its batch.
double log_likelihood_alone(model::Decoder& decoder, const Tokens& tokens, std::int64_t begin) {
  model::PackedBatchBuilder builder;
  builder.add_example(tokens, begin);
  return decoder.log_probabilities(builder.build()).sum().item<double>();
}

TEST(Loss, AgreesWithGoldenNll) {
  const model::SafetensorsFile golden(TinyModel::directory() / "io.safetensors");
  const support::TemporaryDirectory scratch;
  double expected = 0;
  std::int64_t supervised = 0;
  {
    data::DatasetWriterOptions options;
    options.directory = scratch / "ds";
    options.vocab_size = 512;
    data::DatasetWriter writer(options);
    for (int s = 0; s < 3; ++s) {
      const at::Tensor ids = golden.tensor(fmt::format("seq{}.input_ids", s)),
                       labels = golden.tensor(fmt::format("seq{}.labels", s)),
                       nll = golden.tensor(fmt::format("seq{}.nll", s));
      data::Example example;
      for (std::int64_t t = 0; t < ids.numel(); ++t) {
        example.tokens.push_back(static_cast<data::TokenId>(ids[t].item<std::int64_t>()));
        const bool is_label = labels[t].item<std::int64_t>() >= 0;
        example.prompt_length += !is_label;
        if (t > 0 && is_label) {
          expected += nll[t - 1].item<double>();
          ++supervised;
        }
      }
      writer.append("test", example);
    }
    writer.finish({}, {});
  }
  support::LoneSession one;
  TinyModel tiny(at::kFloat);
  const data::Dataset dataset(scratch / "ds", "test");
  for (std::int64_t max_tokens : {1, 40, 4096}) {
    const LossResult result = evaluate_loss(one.get(), tiny.decoder, dataset, max_tokens);
    EXPECT_EQ(result.supervised_tokens, supervised);
    EXPECT_EQ(result.num_examples, 3);
    EXPECT_NEAR(result.sum_nll, expected, 1e-3);  // the fixture's limit for a sum of NLL in fp32
    EXPECT_NEAR(result.perplexity(), std::exp(expected / static_cast<double>(supervised)), result.perplexity() * 1e-5);
  }
  EXPECT_EQ(evaluate_loss(one.get(), tiny.decoder, dataset, 40, 2).num_examples, 2);
}

TEST(Ranking, SharedPrefixAgreesWithWholeSequences) {
  const support::TemporaryDirectory scratch;
  const data::Dataset dataset(testing::write_small_dataset(scratch / "ds", 24), "test");
  const auto catalogue = data::read_catalogue(dataset.info());
  support::LoneSession one;
  TinyModel tiny;
  const auto eval_examples = read_eval_examples(dataset, dataset.size(), {kEos});
  // 12 tokens: every prompt is repeated for each candidate; 60: cut in the middle of examples; 4096: several examples
  // together.
  for (std::int64_t max_tokens : {12, 60, 4096}) {
    const auto scores = score_candidates(one.get(), tiny.decoder, dataset, eval_examples, catalogue, max_tokens);
    ASSERT_EQ(scores.size(), eval_examples.size());
    for (std::size_t i = 0; i < eval_examples.size(); ++i) {
      const data::Example example = dataset.example(static_cast<std::int64_t>(i));
      for (std::size_t j = 0; j < eval_examples[i].candidates.size(); ++j) {
        Tokens whole(example.tokens.begin(), example.tokens.begin() + example.prompt_length);
        const Tokens& title = catalogue[eval_examples[i].candidates[j]].tokens;
        whole.insert(whole.end(), title.begin(), title.end());
        whole.push_back(kEos);
        EXPECT_NEAR(scores[i].log_likelihood[j], log_likelihood_alone(tiny.decoder, whole, example.prompt_length),
                    kDoubleTolerance);
        EXPECT_EQ(scores[i].num_tokens[j], std::ssize(title) + 1);
        const Tokens beginning(whole.begin(), whole.begin() + example.prompt_length + 1);
        EXPECT_NEAR(scores[i].parting_token[j], log_likelihood_alone(tiny.decoder, beginning, example.prompt_length),
                    kDoubleTolerance);
        EXPECT_DOUBLE_EQ(scores[i].per_token()[j],
                         scores[i].log_likelihood[j] / static_cast<double>(std::ssize(title) + 1));
      }
    }
  }
}

/// "Yes." and "No." of tokenizers that begin every word with a mark: what tells them apart is their second token.
TEST(Ranking, TheTokenThatPartsCandidatesComesAfterWhatTheyShare) {
  const support::TemporaryDirectory scratch;
  const data::Dataset dataset(testing::write_small_dataset(scratch / "ds", 6), "test");
  auto catalogue = data::read_catalogue(dataset.info());
  catalogue[0].tokens = {410, 452, 33};
  catalogue[1].tokens = {410, 458, 33, 8};
  support::LoneSession one;
  TinyModel tiny;
  auto eval_examples = read_eval_examples(dataset, dataset.size(), {kEos});
  for (EvalExample& eval_example : eval_examples) eval_example.candidates = {1, 0};
  for (std::int64_t max_tokens : {12, 4096}) {
    const auto scores = score_candidates(one.get(), tiny.decoder, dataset, eval_examples, catalogue, max_tokens);
    for (std::size_t i = 0; i < eval_examples.size(); ++i) {
      Tokens whole = dataset.prompt(static_cast<std::int64_t>(i));
      whole.insert(whole.end(), {410, 458});
      EXPECT_NEAR(scores[i].parting_token[0], log_likelihood_alone(tiny.decoder, whole, std::ssize(whole) - 1),
                  kDoubleTolerance);
      whole.back() = 452;
      EXPECT_NEAR(scores[i].parting_token[1], log_likelihood_alone(tiny.decoder, whole, std::ssize(whole) - 1),
                  kDoubleTolerance);
    }
  }
}

/// In fp32 equal titles at two places of a list may differ in the last bits where they are computed twice.
TEST(Ranking, EqualTitlesTieExactly) {
  const support::TemporaryDirectory scratch;
  const data::Dataset dataset(testing::write_small_dataset(scratch / "ds", 40), "test");
  const auto catalogue = data::read_catalogue(dataset.info());
  support::LoneSession one;
  TinyModel tiny(at::kFloat);
  auto eval_examples = read_eval_examples(dataset, dataset.size(), {kEos});
  for (EvalExample& eval_example : eval_examples) eval_example.candidates = {3, 0, 7, 1, 3};
  // 30 tokens: two computations would fall into batches of different sizes.
  for (const CandidateScores& scores :
       score_candidates(one.get(), tiny.decoder, dataset, eval_examples, catalogue, 30)) {
    EXPECT_EQ(scores.log_likelihood[0], scores.log_likelihood[2]);
    EXPECT_EQ(scores.log_likelihood[0], scores.log_likelihood[4]);
    EXPECT_NE(scores.log_likelihood[0], scores.log_likelihood[1]);
  }
}

TEST(Ranking, RefusesWhatCannotBeScored) {
  const support::TemporaryDirectory scratch;
  const data::Dataset dataset(testing::write_small_dataset(scratch / "ds", 2), "test");
  auto catalogue = data::read_catalogue(dataset.info());
  support::LoneSession one;
  TinyModel tiny;
  auto eval_examples = read_eval_examples(dataset, dataset.size(), {kEos});
  const auto score = [&] { return score_candidates(one.get(), tiny.decoder, dataset, eval_examples, catalogue, 100); };
  eval_examples[1].candidates[0] = 99;
  EXPECT_THROW(score(), core::UserError);
  eval_examples[1].candidates = {0, 1};
  catalogue[1].tokens.clear();
  EXPECT_NO_THROW(score());  // EOS alone is an answer
  for (EvalExample& eval_example : eval_examples) eval_example.eos.reset();
  EXPECT_THROW(score(), core::UserError);
}

/// The definition of greedy decoding: the whole sequence again for every token.
Tokens naive_greedy(model::Decoder& decoder, Tokens tokens, std::int64_t max_new_tokens, data::TokenId eos) {
  Tokens generated;
  while (std::ssize(generated) < max_new_tokens) {
    model::PackedBatchBuilder builder;
    builder.add_prompt(tokens, /*last_row_logits=*/true);
    const auto next = static_cast<data::TokenId>(at::argmax(decoder.logits(builder.build())).item<std::int64_t>());
    if (next == eos) break;
    generated.push_back(next);
    tokens.push_back(next);
  }
  return generated;
}

TEST(Generation, AgreesWithNaiveLoop) {
  const support::TemporaryDirectory scratch;
  const data::Dataset dataset(testing::write_small_dataset(scratch / "ds", 9), "test");
  support::LoneSession one;
  TinyModel tiny;
  const auto eval_examples = read_eval_examples(dataset, dataset.size(), {kEos});
  const auto prompt_of = [&](std::size_t i) {
    const data::Example example = dataset.example(static_cast<std::int64_t>(i));
    return Tokens(example.tokens.begin(), example.tokens.begin() + example.prompt_length);
  };
  // Random weights never say EOS by themselves: one answer's fourth token plays it.
  const data::TokenId eos = naive_greedy(tiny.decoder, prompt_of(4), 4, -1).back();
  GenerationPlan plan{
      .max_new_tokens = 7, .longest_answer = 7, .limits = std::vector<std::int64_t>(eval_examples.size(), 7)};
  plan.limits[2] = 3;  // a prompt near the end of the context
  for (const auto& [batch, tokens] : {std::pair{1, 4096}, std::pair{4, 4096}, std::pair{8, 60}}) {
    const GenerationOptions options{.max_batch_examples = batch, .max_tokens_per_batch = tokens};
    const auto answers = generate_answers(one.get(), tiny.decoder, dataset, eval_examples, options, plan, {eos});
    ASSERT_EQ(answers.size(), eval_examples.size());
    for (std::size_t i = 0; i < eval_examples.size(); ++i)
      EXPECT_EQ(answers[i], naive_greedy(tiny.decoder, prompt_of(i), plan.limits[i], eos)) << i;
    EXPECT_LE(answers[4].size(), 3u);
  }
}

TEST(Generation, PlanFollowsAnswersAndContext) {
  const support::TemporaryDirectory scratch;
  const data::Dataset dataset(testing::write_small_dataset(scratch / "ds", 24), "test");
  const auto eval_examples = read_eval_examples(dataset, dataset.size(), {kEos});
  std::int64_t longest_prompt = 0, longest_answer = 0;
  for (const EvalExample& eval_example : eval_examples) {
    longest_prompt = std::max(longest_prompt, dataset.prompt_length(eval_example.index));
    longest_answer = std::max(longest_answer, std::ssize(eval_example.answer) + 1);
  }
  const GenerationPlan free = plan_generation(dataset, eval_examples, {}, 2048);
  EXPECT_EQ(free.longest_answer, longest_answer);
  EXPECT_EQ(free.limits, std::vector<std::int64_t>(eval_examples.size(), longest_answer + 8));
  EXPECT_EQ(free.num_cut_by_context + free.num_out_of_reach, 0);
  const GenerationPlan tight = plan_generation(dataset, eval_examples, {.max_new_tokens = 5}, longest_prompt + 2);
  std::int64_t cut = 0, out_of_reach = 0;
  for (std::size_t i = 0; i < eval_examples.size(); ++i) {
    const std::int64_t room = longest_prompt + 2 - dataset.prompt_length(eval_examples[i].index);
    EXPECT_EQ(tight.limits[i], std::min<std::int64_t>(5, room));
    cut += room < 5;
    out_of_reach += std::ssize(eval_examples[i].answer) > tight.limits[i];
  }
  EXPECT_GT(cut, 0);
  EXPECT_EQ(tight.num_cut_by_context, cut);
  EXPECT_GT(out_of_reach, 0);
  EXPECT_EQ(tight.num_out_of_reach, out_of_reach);
  EXPECT_THROW(plan_generation(dataset, eval_examples, {}, longest_prompt), core::UserError);
}

TEST(Generation, ExactMatchOfIdsAndTexts) {
  EvalExample eval_example;
  eval_example.answer = {5, 6};
  EXPECT_TRUE(is_exact_match(eval_example, {5, 6, 9}, nullptr));  // no EOS: nothing is known of what follows
  EXPECT_FALSE(is_exact_match(eval_example, {5}, nullptr));
  eval_example.eos = kEos;
  EXPECT_TRUE(is_exact_match(eval_example, {5, 6}, nullptr));
  EXPECT_FALSE(is_exact_match(eval_example, {5, 6, 9}, nullptr));

  const data::Tokenizer tokenizer(testing::repository("examples/stories260k"));
  eval_example.answer = tokenizer.encode("a red ball");
  EXPECT_TRUE(is_exact_match(eval_example, tokenizer.encode("a red ball "), &tokenizer));  // stripped
  EXPECT_TRUE(is_exact_match(eval_example, tokenizer.encode("a red ball\n"), &tokenizer));
  EXPECT_FALSE(is_exact_match(eval_example, tokenizer.encode("a red bal"), &tokenizer));
  EXPECT_FALSE(is_exact_match(eval_example, {600}, &tokenizer));  // a model's vocabulary may be larger
  EXPECT_EQ(decode_any(tokenizer, {600}), "<600>");
  EXPECT_EQ(strip(" \t\n"), "");
}

/// A real trained model: the 200 greedy ids and the mean NLL of the reference (float64 numpy; the text is what llama2.c
/// prints).
TEST(Generation, Stories260kTellsTheGoldenStory) {
  const core::Json golden =
      core::read_json_file(testing::repository("tests/fixtures/golden/stories260k/golden.json"))["hf-f32"];
  data::Example example = testing::tokens_only({1}, 1);
  for (data::TokenId id : golden["greedy_200_ids"].get<Tokens>()) example.tokens.push_back(id);
  ASSERT_EQ(std::ssize(example.tokens), golden["golden_text_ids_len"].get<std::int64_t>());
  const support::TemporaryDirectory scratch;
  data::DatasetWriter writer({.directory = scratch / "ds", .tokenizer = {}, .tokenizer_sha256 = {}, .vocab_size = 512});
  writer.append("test", example);
  writer.finish({}, {});

  support::LoneSession one;
  const model::BaseModel base = model::load_base_model(testing::repository("examples/stories260k").string(), "float32");
  model::Decoder decoder(base.config, base.weights, nullptr);
  const data::Dataset dataset(scratch / "ds", "test");
  const auto eos = end_tokens(dataset.info(), base.config.eos_token_ids);
  const auto eval_examples = read_eval_examples(dataset, 1, eos);
  const GenerationOptions options{.max_new_tokens = 200};
  const GenerationPlan plan = plan_generation(dataset, eval_examples, options, base.config.max_position_embeddings);
  const auto answers = generate_answers(one.get(), decoder, dataset, eval_examples, options, plan, eos);
  EXPECT_EQ(answers[0], eval_examples[0].answer);
  EXPECT_TRUE(is_exact_match(eval_examples[0], answers[0], nullptr));
  // The fixture gives 8 digits; fp32 per-token NLL is good to 5e-5.
  EXPECT_NEAR(evaluate_loss(one.get(), decoder, dataset, 4096).mean_nll(), golden["golden_text_mean_nll"].get<double>(),
              1e-5);
}

}  // namespace
}  // namespace allreco::eval
