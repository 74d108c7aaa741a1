// The part of evaluation.json about candidates: how the model and the baselines rank the right answer.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "core/json.h"
#include "eval/eval_example.h"
#include "eval/ranking.h"

namespace allreco::eval {

struct BootstrapOptions {
  std::int64_t resamples = 2000;
  std::uint64_t seed = 42;
};

/// Examples without candidates are left out. REQUIRES one with candidates. Messages about what weakens the numbers go
/// to `warnings`.
core::Json candidate_report(std::span<const EvalExample> examples, std::span<const CandidateScores> scores,
                            const std::vector<data::Item>& catalogue, const BootstrapOptions& bootstrap,
                            std::vector<std::string>& warnings);

}  // namespace allreco::eval
