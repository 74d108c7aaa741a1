// Where the errors are: slices of the examples, the most confident mistakes, the most confused titles; and what kinds
// of errors generated answers have.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"
#include "eval/analysis_document.h"
#include "eval/baselines/train_sequences.h"
#include "eval/measured.h"

namespace allreco::eval {

/// Of the model's headline on the examples that have one: accuracy among candidates, else hit_rate@10 in the catalogue,
/// else exact match. Nothing without a model. `tokenizer` may be null.
std::optional<ErrorAnalysis> error_analysis(const data::Dataset& dataset, const Measured& measured,
                                            const EvaluateConfig& config, const TrainSequences& train,
                                            const data::Tokenizer* tokenizer);

/// Of answers that are not the right one. `answers`: one an example, as text, white space at the ends stripped.
GenerationErrors generation_errors(std::span<const EvalExample> examples, const std::vector<std::string>& answers,
                                   const std::vector<std::string>& right, const std::vector<data::Item>& catalogue);

}  // namespace allreco::eval
