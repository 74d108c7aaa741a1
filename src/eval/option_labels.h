// Option labels, as LlamaRec ranks: where a prompt shows its options as A) title, B) title, ..., one pass over the
// prompt gives the probability of each label's first token as the beginning of the answer.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "data/store/dataset.h"
#include "dist/session.h"
#include "eval/eval_example.h"
#include "eval/ranking.h"
#include "model/decoder/decoder.h"

namespace allreco::eval {

/// The first token of each label as an answer, which is how it follows the prompt: `count` of them. Empty when the
/// dataset's prompts show no labels, or when two of the labels begin with the same token.
std::vector<data::TokenId> label_tokens(const data::DatasetInfo& info, std::size_t count);

/// Collective: log p(label's first token | prompt) of every candidate, as scores of one token; the same for every world
/// size. Empty when label_tokens is, or when there are no candidates.
std::vector<CandidateScores> score_option_labels(dist::Session& session, model::Decoder& decoder,
                                                 const data::Dataset& dataset, std::span<const EvalExample> examples,
                                                 std::int64_t max_tokens_per_batch);

}  // namespace allreco::eval
