// The part of evaluation.json about candidates: how the model and the baselines rank the right answer.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "eval/document.h"
#include "eval/eval_example.h"
#include "eval/ranking.h"

namespace allreco::eval {

/// Examples without candidates are left out. REQUIRES one with candidates. Messages about what weakens the numbers go
/// to `warnings`.
CandidateReport candidate_report(std::span<const EvalExample> examples, std::span<const CandidateScores> scores,
                                 const std::vector<data::Item>& catalogue, const BootstrapOptions& bootstrap,
                                 std::vector<std::string>& warnings);

}  // namespace allreco::eval
