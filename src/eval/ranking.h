// Candidate scoring: the log-likelihood of each candidate's title as the answer, the prompt computed once for all of
// them.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "data/store/dataset.h"
#include "dist/session.h"
#include "eval/eval_example.h"
#include "model/decoder/decoder.h"

namespace allreco::eval {

/// What a model says of one example's candidates, in the order shown. Candidates with equal tokens have equal scores,
/// bit for bit.
struct CandidateScores {
  std::vector<double> log_likelihood;    // log p(title and EOS | prompt), nats
  std::vector<std::int64_t> num_tokens;  // of the title with its EOS
  /// log p(the first token that not all candidates have | prompt and the beginning that they share), nats; of the first
  /// token where that beginning is the whole of one.
  std::vector<double> parting_token;

  std::vector<double> per_token() const;  // log_likelihood / num_tokens
};

/// Collective: the scores of every example (empty for one without candidates), in order, on every rank; the same for
/// every world size. Each candidate is scored by the tokens of its catalogue title, the right one too, followed by the
/// EOS that ends the example's answer (if one does). No forward pass holds more than `max_tokens_per_batch` tokens
/// unless one prompt with one candidate does. UserError for a candidate that is missing from the catalogue, for titles
/// without tokens and for an empty prompt. Fault for a model whose log-probabilities are not finite.
std::vector<CandidateScores> score_candidates(dist::Session& session, model::Decoder& decoder,
                                              const data::Dataset& dataset, std::span<const EvalExample> examples,
                                              const std::vector<data::Item>& catalogue,
                                              std::int64_t max_tokens_per_batch);

}  // namespace allreco::eval
