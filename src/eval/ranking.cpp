#include "eval/ranking.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "core/check.h"
#include "eval/chunks.h"

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

/// Fills batches with prompts and their candidates and puts the scores where they belong.
class Scorer {
 public:
  Scorer(model::Decoder& decoder, const std::vector<data::Item>& catalogue, std::int64_t max_tokens)
      : decoder_(decoder), catalogue_(catalogue), max_tokens_(max_tokens) {}

  /// `scores`: one place a candidate, valid until flush().
  void add(const EvalExample& example, const Tokens& prompt, std::span<double> scores) {
    // Equal titles are scored once: two computations of the same number may differ in the last bit and make a tie look
    // like a rank.
    std::map<Tokens, std::vector<double*>> continuations;
    for (std::size_t j = 0; j < scores.size(); ++j)
      continuations[continuation_of(example, j, catalogue_)].push_back(&scores[j]);
    std::int64_t parent = -1;
    for (auto& [tokens, places] : continuations) {
      const std::int64_t prompt_tokens = parent < 0 ? std::ssize(prompt) : 0;
      if (!places_.empty() && builder_.num_tokens() + prompt_tokens + std::ssize(tokens) > max_tokens_) {
        flush();
        parent = -1;
      }
      if (parent < 0) parent = builder_.add_prompt(prompt);
      places_[builder_.add_branch(parent, std::ssize(prompt), tokens)] = std::move(places);
    }
  }

  void flush() {
    if (places_.empty()) return;
    const model::PackedBatch batch = builder_.build();
    const at::Tensor log_p = decoder_.log_probabilities(batch);  // float64 [M]
    const double* values = log_p.const_data_ptr<double>();
    for (const auto& [segment, places] : places_) {
      double sum = 0;
      const auto s = static_cast<std::size_t>(segment);
      for (std::int64_t m = batch.prediction_offsets[s]; m < batch.prediction_offsets[s + 1]; ++m) sum += values[m];
      for (double* place : places) *place = sum;
    }
    places_.clear();
    builder_ = {};
  }

 private:
  model::Decoder& decoder_;
  const std::vector<data::Item>& catalogue_;
  std::int64_t max_tokens_;
  model::PackedBatchBuilder builder_;
  std::map<std::int64_t, std::vector<double*>> places_;  // by the branch's segment
};

/// Where the scores of example i begin in one flat array; the last entry is its size.
std::vector<std::size_t> score_offsets(std::span<const EvalExample> examples) {
  std::vector<std::size_t> offsets{0};
  for (const EvalExample& example : examples) offsets.push_back(offsets.back() + example.candidates.size());
  return offsets;
}

/// Tokens of a prompt and its candidates, each taken as an average title: the scorer bounds the batches, so chunks may
/// be uneven.
std::vector<Chunk> ranking_chunks(const data::Dataset& dataset, std::span<const EvalExample> examples,
                                  const std::vector<data::Item>& catalogue, std::int64_t max_tokens) {
  std::int64_t title_tokens = 0;
  for (const data::Item& item : catalogue) title_tokens += std::ssize(item.tokens) + 1;
  const std::int64_t average =
      std::max<std::int64_t>(1, title_tokens / std::max<std::int64_t>(1, std::ssize(catalogue)));
  return cut_into_chunks(std::ssize(examples), max_tokens, std::numeric_limits<std::int64_t>::max(),
                         [&](std::int64_t i) {
                           const EvalExample& example = examples[static_cast<std::size_t>(i)];
                           if (example.candidates.empty()) return std::int64_t{0};
                           return dataset.prompt_length(example.index) + average * std::ssize(example.candidates);
                         });
}

Tokens prompt_of(const data::Dataset& dataset, const EvalExample& example) {
  if (dataset.prompt_length(example.index) < 1)
    core::user_error("example {} has candidates but an empty prompt: there is nothing to score them after",
                     example.index);
  return dataset.prompt(example.index);
}

CandidateScores scores_of(const EvalExample& example, std::span<const double> values,
                          const std::vector<data::Item>& catalogue) {
  CandidateScores scores;
  for (std::size_t j = 0; j < values.size(); ++j) {
    if (!std::isfinite(values[j]))
      core::fault(
          "the model gives candidate {} of example {} the log-likelihood {}: its weights or its dtype are unusable", j,
          example.index, values[j]);
    scores.log_likelihood.push_back(values[j]);
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
  Scorer scorer(decoder, catalogue, max_tokens_per_batch);
  for_each_chunk(session, ranking_chunks(dataset, examples, catalogue, max_tokens_per_batch), "candidate scoring",
                 [&](std::size_t, const Chunk& chunk) {
                   for (auto i = static_cast<std::size_t>(chunk.begin); i < static_cast<std::size_t>(chunk.end); ++i) {
                     if (examples[i].candidates.empty()) continue;
                     scorer.add(examples[i], prompt_of(dataset, examples[i]), place_of(i));
                   }
                   scorer.flush();  // a chunk's batches depend on no other chunk, so on no rank
                 });
  session.all_sum(flat);  // exact: all ranks but one add zero
  std::vector<CandidateScores> scores;
  for (std::size_t i = 0; i < examples.size(); ++i) scores.push_back(scores_of(examples[i], place_of(i), catalogue));
  return scores;
}

}  // namespace allreco::eval
