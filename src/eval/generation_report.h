// The part of evaluation.json about generated answers: exact match beside rules that need no model.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"
#include "eval/document.h"
#include "eval/generation.h"

namespace allreco::eval {

/// `answers`: one a example. `tokenizer` may be null: then ids are compared.
GenerationReport generation_report(const data::DatasetInfo& info, std::span<const EvalExample> examples,
                                   std::span<const std::vector<data::TokenId>> answers,
                                   const std::vector<data::Item>& catalogue, const data::Tokenizer* tokenizer,
                                   const GenerationPlan& plan, const BootstrapOptions& bootstrap,
                                   std::vector<std::string>& warnings);

}  // namespace allreco::eval
