// Scores of tries against every sequence alone in its batch.
#include "eval/trie_scoring.h"

#include <ATen/ops/log_softmax.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "core/random.h"
#include "data/tokenizer/tokenizer.h"
#include "eval/beam_search.h"
#include "eval/small_world.h"

namespace allreco::eval {
namespace {

using testing::kEos;
using testing::TinyModel;
using Tokens = std::vector<data::TokenId>;

// float64 sums of some hundred terms of size 10 in another order: 1e-16 * 1e3 * 10 = 1e-12; two decades of room.
constexpr double kDoubleTolerance = 1e-10;

double log_likelihood_alone(model::Decoder& decoder, const Tokens& prompt, const Tokens& sequence) {
  Tokens whole = prompt;
  whole.insert(whole.end(), sequence.begin(), sequence.end());
  model::PackedBatchBuilder builder;
  builder.add_example(whole, std::ssize(prompt));
  return decoder.log_probabilities(builder.build()).sum().item<double>();
}

/// Sequences over `num_tokens` tokens, so that many begin alike; some begin others, some are equal.
std::vector<Tokens> random_sequences(std::uint64_t seed, std::size_t count, std::uint64_t num_tokens,
                                     std::uint64_t longest) {
  core::RandomStream stream(core::mix_key(seed, {core::key_of("sequences")}));
  std::vector<Tokens> sequences(count);
  for (Tokens& s : sequences) {
    for (std::uint64_t i = 0, n = 1 + stream.next_below(longest); i < n; ++i)
      s.push_back(static_cast<data::TokenId>(3 + stream.next_below(num_tokens)));
  }
  return sequences;
}

Tokens random_prompt(std::uint64_t seed, std::size_t length) {
  core::RandomStream stream(core::mix_key(seed, {core::key_of("prompt")}));
  return testing::random_tokens(stream, length);
}

TEST(TrieScoring, EqualsEverySequenceAlone) {
  TinyModel tiny;
  // 9: less than a prompt; 40: the tries are cut into passes; 100000: all together.
  for (const std::int64_t max_tokens : {9, 40, 300, 100000}) {
    std::vector<std::vector<Tokens>> sequences;
    std::vector<TokenTrie> tries;
    std::vector<TrieRequest> requests;
    for (std::uint64_t r = 0; r < 4; ++r) sequences.push_back(random_sequences(r, 5 + 25 * r, 2 + 2 * r, 4 + 4 * r));
    for (const auto& s : sequences) tries.emplace_back(s);
    for (std::uint64_t r = 0; r < 4; ++r) requests.push_back({&tries[r], random_prompt(r, 3 + 6 * r)});
    TrieScorer scorer(tiny.decoder, max_tokens);
    const std::vector<TrieScores> scores = scorer.score(requests);
    for (std::size_t r = 0; r < 4; ++r) {
      const std::vector<double> sums = path_log_likelihoods(tries[r], scores[r]);
      for (std::size_t i = 0; i < sequences[r].size(); ++i) {
        EXPECT_NEAR(sums[static_cast<std::size_t>(tries[r].end_of(i))],
                    log_likelihood_alone(tiny.decoder, requests[r].prompt, sequences[r][i]), kDoubleTolerance);
      }
    }
    std::int64_t needed = 0;
    for (const TrieRequest& request : requests) needed += std::ssize(request.prompt) + request.trie->num_computed();
    EXPECT_GE(scorer.num_tokens_computed(), needed);
    if (max_tokens == 100000) {
      EXPECT_EQ(scorer.num_tokens_computed(), needed);
    }
  }
}

/// The definition, from the logits of each beginning alone: p(token) / sum of p over the tokens that go on.
double masked_alone(model::Decoder& decoder, const Tokens& prompt, const Tokens& sequence,
                    const std::vector<Tokens>& all) {
  double sum = 0;
  for (std::size_t length = 0; length < sequence.size(); ++length) {
    Tokens beginning = prompt;
    beginning.insert(beginning.end(), sequence.begin(), sequence.begin() + static_cast<std::ptrdiff_t>(length));
    model::PackedBatchBuilder builder;
    builder.add_prompt(beginning, /*last_row_logits=*/true);
    const at::Tensor log_p = at::log_softmax(decoder.logits(builder.build())[0], 0);
    std::map<data::TokenId, double> continuations;
    for (const Tokens& other : all) {
      if (other.size() > length &&
          std::equal(sequence.begin(), sequence.begin() + static_cast<std::ptrdiff_t>(length), other.begin()))
        continuations[other[length]] = std::exp(log_p[other[length]].item<double>());
    }
    double mass = 0;
    for (const auto& [token, p] : continuations) mass += p;
    sum += std::log(continuations.at(sequence[length]) / mass);
  }
  return sum;
}

TEST(TrieScoring, MaskedProbabilitiesAreRenormalisedAtEveryToken) {
  TinyModel tiny;
  std::vector<Tokens> sequences = random_sequences(7, 12, 3, 5);
  for (Tokens& s : sequences) s.push_back(kEos);
  const TokenTrie trie(sequences);
  const TrieRequest request{&trie, random_prompt(7, 6)};
  const TrieScores scores = TrieScorer(tiny.decoder, 1000).score({&request, 1})[0];
  const std::vector<double> masked = masked_log_likelihoods(trie, scores);
  double total = 0;
  for (std::int64_t n = 1; n < std::ssize(trie.nodes()); ++n)
    total += trie.node(n).is_end ? std::exp(masked[static_cast<std::size_t>(n)]) : 0;
  EXPECT_NEAR(total, 1, 1e-12);  // all that can be said
  for (std::size_t i = 0; i < sequences.size(); ++i)
    EXPECT_NEAR(masked[static_cast<std::size_t>(trie.end_of(i))],
                masked_alone(tiny.decoder, request.prompt, sequences[i], sequences), kDoubleTolerance);
}

/// Token by token with every beginning computed alone, in the definition's words.
std::vector<std::pair<double, Tokens>> naive_beam(model::Decoder& decoder, const Tokens& prompt,
                                                  const std::vector<Tokens>& sequences, std::size_t width) {
  std::vector<std::pair<double, Tokens>> beam = {{0.0, {}}};
  const auto has_ended = [&](const Tokens& tokens) { return !tokens.empty() && tokens.back() == kEos; };
  while (!std::all_of(beam.begin(), beam.end(), [&](const auto& b) { return has_ended(b.second); })) {
    std::map<Tokens, double> grown;
    for (const auto& [score, tokens] : beam) {
      if (has_ended(tokens)) {
        grown[tokens] = score;
        continue;
      }
      for (const Tokens& s : sequences) {
        if (s.size() <= tokens.size() || !std::equal(tokens.begin(), tokens.end(), s.begin())) continue;
        const Tokens longer(s.begin(), s.begin() + std::ssize(tokens) + 1);
        grown[longer] = log_likelihood_alone(decoder, prompt, longer);
      }
    }
    beam.clear();
    for (const auto& [tokens, score] : grown) beam.emplace_back(score, tokens);
    std::sort(beam.begin(), beam.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    if (beam.size() > width) beam.resize(width);
  }
  return beam;
}

TEST(BeamSearch, EqualsTheNaiveOneAndFindsOnlyWhatIsThere) {
  TinyModel tiny;
  std::vector<std::vector<Tokens>> sequences;
  std::vector<TokenTrie> tries;
  std::vector<TrieRequest> requests;
  for (std::uint64_t r = 0; r < 3; ++r) {
    sequences.push_back(random_sequences(20 + r, 30, 3, 6));
    for (Tokens& s : sequences.back()) s.push_back(kEos);
  }
  for (const auto& s : sequences) tries.emplace_back(s);
  for (std::uint64_t r = 0; r < 3; ++r) requests.push_back({&tries[r], random_prompt(r, 5 + r)});
  for (const std::size_t width : {1u, 3u, 8u}) {
    const BeamResults found = beam_search(tiny.decoder, requests, {.num_beams = static_cast<std::int64_t>(width)});
    for (std::size_t r = 0; r < 3; ++r) {
      const auto expected = naive_beam(tiny.decoder, requests[r].prompt, sequences[r], width);
      const std::vector<BeamHit>& hits = found.hits[r][0];
      ASSERT_EQ(hits.size(), expected.size());
      for (std::size_t k = 0; k < expected.size(); ++k) {
        EXPECT_NEAR(hits[k].score, expected[k].first, kDoubleTolerance);
        std::size_t i = 0;
        while (sequences[r][i] != expected[k].second) ++i;
        EXPECT_EQ(hits[k].node, tries[r].end_of(i));
      }
    }
  }
}

/// No beam as wide as the trie prunes anything: every sequence, with its score.
TEST(BeamSearch, OfTheTriesWidthFindsAllWithTheirScores) {
  TinyModel tiny;
  const std::vector<Tokens> sequences = random_sequences(31, 60, 4, 7);  // some are beginnings of others
  const TokenTrie trie(sequences);
  const TrieRequest request{&trie, random_prompt(1, 9)};
  const TrieScores scores = TrieScorer(tiny.decoder, 100).score({&request, 1})[0];
  // A sequence that goes on is a hypothesis beside the one that ends there.
  const BeamResults found = beam_search(tiny.decoder, {&request, 1}, {1000, {PathScore::plain, PathScore::masked}});
  const std::vector<double> expected[] = {path_log_likelihoods(trie, scores), masked_log_likelihoods(trie, scores)};
  for (std::size_t s = 0; s < 2; ++s) {
    EXPECT_EQ(std::ssize(found.hits[0][s]), trie.num_distinct());
    double last = INFINITY;
    for (const BeamHit& hit : found.hits[0][s]) {
      EXPECT_TRUE(trie.node(hit.node).is_end);
      EXPECT_NEAR(hit.score, expected[s][static_cast<std::size_t>(hit.node)], kDoubleTolerance);
      EXPECT_LE(hit.score, last);
      last = hit.score;
    }
  }
}

/// Searches of one request share what they have in common, and find what they find alone.
TEST(BeamSearch, TogetherFindWhatTheyFindAlone) {
  TinyModel tiny;
  const TokenTrie trie(random_sequences(33, 80, 3, 6));
  const std::vector<TrieRequest> requests = {{&trie, random_prompt(2, 7)}, {&trie, random_prompt(3, 4)}};
  const BeamResults together = beam_search(tiny.decoder, requests, {4, {PathScore::plain, PathScore::masked}});
  std::int64_t num_tokens_alone = 0;
  for (std::size_t s = 0; s < 2; ++s) {
    const BeamResults alone = beam_search(tiny.decoder, requests, {4, {s == 0 ? PathScore::plain : PathScore::masked}});
    num_tokens_alone += alone.num_tokens_computed;
    for (std::size_t r = 0; r < requests.size(); ++r) {
      ASSERT_EQ(together.hits[r][s].size(), alone.hits[r][0].size());
      for (std::size_t k = 0; k < alone.hits[r][0].size(); ++k) {
        EXPECT_EQ(together.hits[r][s][k].node, alone.hits[r][0][k].node);
        EXPECT_NEAR(together.hits[r][s][k].score, alone.hits[r][0][k].score, kDoubleTolerance);
      }
    }
  }
  EXPECT_LE(together.num_tokens_computed, num_tokens_alone - 7 - 4);  // the prompts at least
}

/// A trained model in float32 on the shipped titles: 1e-4, which is what float32 gives sums of some twenty terms whose
/// logits are good to 1e-5 (products of 64 terms of size 10, eps 6e-8).
TEST(TrieScoring, Stories260kInFloat32OnRealTitles) {
  const model::BaseModel base = model::load_base_model(testing::repository("examples/stories260k").string(), "float32");
  model::Decoder decoder(base.config, base.weights, nullptr);
  const data::Tokenizer tokenizer(testing::repository("examples/stories260k"));
  std::vector<Tokens> titles;
  for (const char* title :
       {"Amazon.com eGift Card", "Amazon.com Gift Card in a Greeting Card", "Amazon.com Gift Card in a Mini Envelope",
        "Amazon.com Gift Card in a Reveal", "Starbucks Gift Card $25", "Starbucks Gift Card", "iTunes Gift Card"}) {
    titles.push_back(tokenizer.encode(title));
    titles.back().push_back(kEos);
  }
  Tokens prompt = {1};
  for (data::TokenId id : tokenizer.encode("A shopper bought these items, oldest first: Starbucks Gift Card"))
    prompt.push_back(id);
  const TokenTrie trie(titles);
  const TrieRequest request{&trie, prompt};
  for (const std::int64_t max_tokens : {80, 4096}) {
    const TrieScores scores = TrieScorer(decoder, max_tokens).score({&request, 1})[0];
    const std::vector<double> sums = path_log_likelihoods(trie, scores);
    for (std::size_t i = 0; i < titles.size(); ++i)
      EXPECT_NEAR(sums[static_cast<std::size_t>(trie.end_of(i))], log_likelihood_alone(decoder, prompt, titles[i]),
                  1e-4);
  }
}

}  // namespace
}  // namespace allreco::eval
