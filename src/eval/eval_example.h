// EvalExample: what evaluation keeps in memory of an example while the ranks score it; its prompt stays on disk.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "data/store/dataset.h"

namespace allreco::eval {

struct EvalExample {
  std::int64_t index = 0;  // in the split
  std::optional<std::uint64_t> user;
  std::optional<std::int64_t> timestamp;
  std::optional<std::uint32_t> target;
  std::optional<std::uint32_t> last_item;
  std::vector<std::uint32_t> history;     // items, oldest first; empty: none, or not known
  std::vector<std::uint32_t> candidates;  // in the order shown; empty: nothing to rank
  std::size_t gold = 0;                   // the right one's place in `candidates`
  bool has_unusable_candidates = false;   // they were left out: fewer than two, or the right one is not known
  std::vector<data::TokenId> answer;      // the supervised part without its EOS
  std::optional<data::TokenId> eos;       // what ended the supervised part; none: it just stops
};

/// The ids that end an answer: the dataset's EOS and the model's, ascending, each once.
std::vector<std::int64_t> end_tokens(const data::DatasetInfo& info, const std::vector<std::int64_t>& model_eos);

/// Whether an example lists candidates that can be ranked: several, of which the right one is known.
bool has_rankable_candidates(const data::Example& example);

/// How many examples to evaluate: the first `max_eval_samples` of the split, all for 0.
std::int64_t num_to_evaluate(const data::Dataset& dataset, std::int64_t max_eval_samples);

/// The first `count` examples. Candidates that cannot be ranked are left out and marked.
std::vector<EvalExample> read_eval_examples(const data::Dataset& dataset, std::int64_t count,
                                            const std::vector<std::int64_t>& eos);

}  // namespace allreco::eval
