// Measured: what an evaluation found, before it becomes a document.
#pragma once
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "eval/catalogue.h"
#include "eval/document.h"
#include "eval/evaluate.h"
#include "eval/generation.h"
#include "eval/loss.h"

namespace allreco::eval {

/// What every rank knows before and while it measures.
struct Measured {
  std::vector<data::Item> catalogue;
  std::vector<EvalExample> examples;
  std::int64_t num_beyond_context = 0;              // examples with more tokens than max_position_embeddings
  std::optional<LossResult> loss;                   // none without a model
  std::vector<CandidateScores> scores;              // one an example; empty: not scored
  std::vector<CandidateScores> label_scores;        // the same by the labels of the options; empty: prompts show none
  std::string labels_not_applicable;                // why labels that prompts show give no scores; empty: they do
  std::vector<CandidateScores> base_scores;         // the same of the model without its adapter; empty: not asked for
  CatalogueRanking catalogue_ranking;               // kinds: none without a model
  std::vector<std::vector<data::TokenId>> answers;  // one an example; empty: not generated
  GenerationPlan plan;

  bool any_candidates() const {
    return std::any_of(examples.begin(), examples.end(), [](const EvalExample& e) { return !e.candidates.empty(); });
  }
};

/// The document, on rank 0. `model`: none for baselines alone. `tokenizer` may be null.
EvaluationDocument document_of(const data::Dataset& dataset, const data::DatasetInfo& fitted_on,
                               const Measured& measured, const EvaluateConfig& config,
                               const std::optional<ModelDescription>& model, const data::Tokenizer* tokenizer);

}  // namespace allreco::eval
