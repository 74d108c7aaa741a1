#include "eval/ranking.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/check.h"
#include "eval/chunks.h"
#include "eval/trie_scoring.h"

namespace allreco::eval {

namespace {

using Tokens = std::vector<data::TokenId>;

Tokens continuation_of(const EvalExample& example, std::size_t candidate, const std::vector<data::Item>& catalogue) {
  const std::uint32_t id = example.candidates[candidate];
  if (id >= catalogue.size())
    core::user_error("example {}: candidate {} is item {}, but items.jsonl has {} items; prepare the dataset again",
                     example.index, candidate, id, catalogue.size());
  Tokens tokens = catalogue[id].tokens;
  if (example.eos) tokens.push_back(*example.eos);
  if (tokens.empty())
    core::user_error("item {} (\"{}\") has no tokens: it cannot be scored as an answer", id, catalogue[id].title);
  return tokens;
}

/// Where the scores of example i begin in one flat array, two of each candidate; the last entry is its size.
std::vector<std::size_t> score_offsets(std::span<const EvalExample> examples) {
  std::vector<std::size_t> offsets{0};
  for (const EvalExample& example : examples) offsets.push_back(offsets.back() + 2 * example.candidates.size());
  return offsets;
}

std::vector<Tokens> continuations_of(const EvalExample& example, const std::vector<data::Item>& catalogue) {
  std::vector<Tokens> continuations;
  for (std::size_t j = 0; j < example.candidates.size(); ++j)
    continuations.push_back(continuation_of(example, j, catalogue));
  return continuations;
}

/// By the tokens of prompts and candidates; those that candidates share are counted more than once.
std::vector<Chunk> ranking_chunks(const data::Dataset& dataset, std::span<const EvalExample> examples,
                                  const std::vector<data::Item>& catalogue, std::int64_t max_tokens) {
  return cut_into_chunks(std::ssize(examples), max_tokens, std::numeric_limits<std::int64_t>::max(),
                         [&](std::int64_t i) {
                           const EvalExample& example = examples[static_cast<std::size_t>(i)];
                           if (example.candidates.empty()) return std::int64_t{0};
                           std::int64_t tokens = dataset.prompt_length(example.index);
                           for (const Tokens& c : continuations_of(example, catalogue)) tokens += std::ssize(c);
                           return tokens;
                         });
}

Tokens prompt_of(const data::Dataset& dataset, const EvalExample& example) {
  if (dataset.prompt_length(example.index) < 1)
    core::user_error("example {} has candidates but an empty prompt: there is nothing to score them after",
                     example.index);
  return dataset.prompt(example.index);
}

/// Two numbers a candidate: the log-likelihood, and that of the token at which it parts from the others.
void put(const TokenTrie& trie, const TrieScores& scores, std::span<double> places) {
  const std::vector<double> sums = path_log_likelihoods(trie, scores);
  for (std::size_t j = 0; j < trie.num_sequences(); ++j) {
    places[2 * j] = sums[static_cast<std::size_t>(trie.end_of(j))];
    places[2 * j + 1] = scores.first[static_cast<std::size_t>(trie.parting_of(j))];
  }
}

CandidateScores scores_of(const EvalExample& example, std::span<const double> values,
                          const std::vector<data::Item>& catalogue) {
  CandidateScores scores;
  for (std::size_t j = 0; j < example.candidates.size(); ++j) {
    const double log_likelihood = values[2 * j];
    if (!std::isfinite(log_likelihood))
      core::fault(
          "the model gives candidate {} of example {} the log-likelihood {}: its weights or its dtype are unusable", j,
          example.index, log_likelihood);
    scores.log_likelihood.push_back(log_likelihood);
    scores.parting_token.push_back(values[2 * j + 1]);
    scores.num_tokens.push_back(std::ssize(continuation_of(example, j, catalogue)));
  }
  return scores;
}

}  // namespace

std::vector<double> CandidateScores::per_token() const {
  std::vector<double> means;
  for (std::size_t j = 0; j < log_likelihood.size(); ++j)
    means.push_back(log_likelihood[j] / static_cast<double>(num_tokens[j]));
  return means;
}

std::vector<CandidateScores> score_candidates(dist::Session& session, model::Decoder& decoder,
                                              const data::Dataset& dataset, std::span<const EvalExample> examples,
                                              const std::vector<data::Item>& catalogue,
                                              std::int64_t max_tokens_per_batch) {
  const std::vector<std::size_t> offsets = score_offsets(examples);
  std::vector<double> flat(offsets.back(), 0.0);
  const auto place_of = [&](std::size_t i) {
    return std::span<double>(flat).subspan(offsets[i], offsets[i + 1] - offsets[i]);
  };
  TrieScorer scorer(decoder, max_tokens_per_batch);
  for_each_chunk(session, ranking_chunks(dataset, examples, catalogue, max_tokens_per_batch), "candidate scoring",
                 [&](std::size_t, const Chunk& chunk) {
                   std::vector<std::size_t> ranked;
                   for (auto i = static_cast<std::size_t>(chunk.begin); i < static_cast<std::size_t>(chunk.end); ++i)
                     if (!examples[i].candidates.empty()) ranked.push_back(i);
                   std::vector<TokenTrie> tries;
                   for (const std::size_t i : ranked) tries.emplace_back(continuations_of(examples[i], catalogue));
                   std::vector<TrieRequest> requests;
                   for (std::size_t r = 0; r < ranked.size(); ++r)
                     requests.push_back({&tries[r], prompt_of(dataset, examples[ranked[r]])});
                   const std::vector<TrieScores> scores = scorer.score(requests);
                   for (std::size_t r = 0; r < ranked.size(); ++r) put(tries[r], scores[r], place_of(ranked[r]));
                 });
  session.all_sum(flat);  // exact: all ranks but one add zero
  std::vector<CandidateScores> scores;
  for (std::size_t i = 0; i < examples.size(); ++i) scores.push_back(scores_of(examples[i], place_of(i), catalogue));
  return scores;
}

}  // namespace allreco::eval
