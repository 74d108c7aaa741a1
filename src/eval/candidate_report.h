// The part of evaluation.json about candidates: how the model and the baselines rank the right answer.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "eval/baselines/item_baseline.h"
#include "eval/document.h"
#include "eval/eval_example.h"
#include "eval/ranking.h"

namespace allreco::eval {

/// What a model gives candidates; empty without one.
struct ModelScores {
  std::span<const CandidateScores> titles;
  std::span<const CandidateScores> labels;  // of the options in the prompt; empty: it shows none
  std::span<const CandidateScores> base;    // of titles, by the model without its adapter; empty: not asked for
};

/// Examples without candidates are left out. REQUIRES one with candidates. `item_baselines`: rules for the catalogue
/// that stand beside candidates, too. Messages about what weakens the numbers go to `warnings`.
CandidateReport candidate_report(std::span<const EvalExample> examples, const ModelScores& scores,
                                 const std::vector<data::Item>& catalogue,
                                 const std::vector<ItemBaseline>& item_baselines, const BootstrapOptions& bootstrap,
                                 std::vector<std::string>& warnings);

}  // namespace allreco::eval
