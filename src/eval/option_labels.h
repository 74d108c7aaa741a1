// Option labels, as LlamaRec ranks: where a prompt shows its options as A) title, B) title, ..., one pass over the
// prompt gives the probability of each label as the beginning of the answer.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "core/json_fields.h"
#include "data/store/dataset.h"
#include "dist/session.h"
#include "eval/eval_example.h"
#include "eval/ranking.h"
#include "model/decoder/decoder.h"

namespace allreco::eval {

/// The tokens of each of `count` labels as an answer, which is how it follows the prompt. None, without a reason, when
/// the dataset's prompts show no labels; and with one when one label is the beginning of another, whose probability it
/// would have, too.
core::Part<std::vector<std::vector<data::TokenId>>> label_tokens(const data::DatasetInfo& info, std::size_t count);

/// Collective: log p(the label's tokens | prompt) of every candidate; the same for every world size. None when
/// label_tokens gives none, for its reason, or when there are no candidates.
core::Part<std::vector<CandidateScores>> score_option_labels(dist::Session& session, model::Decoder& decoder,
                                                             const data::Dataset& dataset,
                                                             std::span<const EvalExample> examples,
                                                             std::int64_t max_tokens_per_batch);

}  // namespace allreco::eval
