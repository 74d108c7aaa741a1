// TrainSequences: what the train split says of who bought what after what; all that baselines are fitted on.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/store/dataset.h"

namespace allreco::eval {

struct TrainSequences {
  std::vector<std::vector<std::uint32_t>> sequences;  // items as one user bought them; a gap begins a new sequence
  std::vector<std::int64_t> purchases;                // by item: how often it stands in `sequences`
  std::vector<std::int64_t> recent_targets;           // by item: newest examples with it as target; empty: no times
  std::optional<std::string> not_applicable = {};     // why there are none
};

/// The share of train examples, by time, that recent popularity counts; equal times stay together.
inline constexpr double kRecentShare = 0.1;

/// What the dataset lists (train_sequences.jsonl). Else from the examples of the train split: a user's sequence is the
/// history and target of the first one, and what each later one adds; a purchase that no example shows (of a user with
/// too few of them, or older than max_history) is not there. Times are those of the examples.
TrainSequences read_train_sequences(const data::DatasetInfo& info);

}  // namespace allreco::eval
