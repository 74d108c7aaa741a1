// evaluate: everything that is measured of a model on a split, as one document (evaluation.json, docs/evaluation.md)
// and one line an example.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/options.h"
#include "data/store/dataset.h"
#include "data/tokenizer/tokenizer.h"
#include "dist/session.h"
#include "eval/catalogue.h"
#include "eval/control.h"
#include "eval/document.h"
#include "eval/eval_example.h"
#include "eval/ranking.h"
#include "model/decoder/decoder.h"

namespace allreco::eval {

struct EvaluateConfig {
  std::string split = "test";
  std::int64_t max_tokens_per_batch = 4096;
  std::int64_t per_device_eval_batch_size = 8;
  std::int64_t max_eval_samples = 0;
  bool generate = true;
  std::int64_t max_new_tokens = 0;
  std::int64_t bootstrap_samples = 2000;
  std::uint64_t seed = 42;
  bool baselines_only = false;
  bool base_model_baseline = false;
  std::string control = "none";
  CatalogueOptions catalogue;

  core::OptionGroups options() {
    using core::between;
    return {
        {"Evaluation",
         {{"split", split, "The split to evaluate on."},
          {"max_tokens_per_batch", max_tokens_per_batch, between(1, 1e8),
           "Tokens of one forward pass: memory and speed, and at most the last bits of scores."},
          {"per_device_eval_batch_size", per_device_eval_batch_size, between(1, 1e6),
           "Prompts that are continued together in generation."},
          {"max_eval_samples", max_eval_samples, between(0, 1e12), "The first so many examples of the split; 0: all."},
          {"generate", generate, "Also generate greedy answers and count exact matches."},
          {"max_new_tokens", max_new_tokens, between(0, 1e6),
           "Of a generated answer; 0: from the longest right answer."},
          {"bootstrap_samples", bootstrap_samples, between(1000, 1e6), "Resamples of shoppers behind each interval."},
          {"seed", seed, "Seed of the bootstrap."},
          {"control", control, control_choices(),
           "Evaluate a changed split. shuffled_labels: the right candidate is drawn, or with ranking = exhaustive or "
           "beam the target among all items, and the candidates are left out; it must give chance. "
           "blank_history: prompts without their history, which must give no more than popularity. rotated_options: "
           "each candidate stands one place later, the last one first: `compare` with the evaluation as it was shows "
           "what "
           "the places do."},
          {"baselines_only", baselines_only, "Only what is reached without a model; none is loaded."},
          {"base_model_baseline", base_model_baseline,
           "Also rank with the model without its adapter, as one more baseline: twice the time of ranking."}}},
        {"Ranking", catalogue.options()}};
  }
};

/// What was found. On rank 0; empty on the other ranks.
struct Evaluation {
  EvaluationDocument document;
  std::vector<EvalExample> examples;
  std::vector<CandidateScores> scores;              // one a example; empty: no candidates
  CatalogueRanking catalogue_ranking;               // its first kind is the headline; no kinds: not ranked
  std::vector<std::vector<data::TokenId>> answers;  // one a example; empty: not generated
  std::optional<data::Tokenizer> tokenizer;         // of the dataset
};

/// A model to evaluate; its description goes into the document as it is.
struct ModelToEvaluate {
  model::Decoder& decoder;
  ModelDescription description;
  model::Decoder* base = nullptr;  // without the adapter; needed with config.base_model_baseline
};

/// Collective. `fitted_on`: the dataset whose train split baselines are fitted on, `dataset` itself unless that is a
/// control. Loss and perplexity always; candidates where the split has some with a catalogue; the whole catalogue and
/// greedy answers as asked for. No number depends on the world size. `model`: null with config.baselines_only.
/// UserError before any work when the dataset's vocabulary is larger than the model's, or when items of histories are
/// to be left out that nothing is known of. Fault naming the first example whose loss, or score of a candidate, is not
/// finite.
Evaluation evaluate(dist::Session& session, const ModelToEvaluate* model, const data::Dataset& dataset,
                    const EvaluateConfig& config, const data::DatasetInfo& fitted_on);

/// Writes evaluation.json and predictions.jsonl into `output_dir`, each atomically. Rank 0 only.
void write_evaluation(const std::filesystem::path& output_dir, const Evaluation& evaluation);

/// What a reader of an evaluation is about to say it of.
struct EvaluatedModel {
  std::string base_fingerprint;     // BaseModel::fingerprint
  std::string base_storage;         // BaseModel::storage
  std::string adapter_fingerprint;  // model::adapter_fingerprint; empty: the bare base
};
/// Why an evaluation.json, of this or another version, is not of `model`; empty: it is, and of this version. Nothing
/// quotes an evaluation without having asked.
std::string why_not_of(const core::Json& json, const EvaluatedModel& model);

}  // namespace allreco::eval
