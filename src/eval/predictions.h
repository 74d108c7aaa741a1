// predictions.jsonl: one JSON object an example, in dataset order; what error analysis starts from.
#pragma once
#include <filesystem>

#include "eval/evaluate.h"

namespace allreco::eval {

/// Atomically. Keys: index, user, timestamp, target, last_item where the dataset has them; candidates, gold, chosen,
/// log_likelihoods, num_tokens, rank (mid, optimistic, pessimistic) and chosen_per_token where they were ranked;
/// answer, generated, exact_match where answers were generated (texts with a tokenizer, else ids).
void write_predictions(const std::filesystem::path& path, const Evaluation& evaluation);

}  // namespace allreco::eval
