#include "eval/evaluate.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/files.h"
#include "eval/measured.h"
#include "eval/option_labels.h"
#include "eval/predictions.h"

namespace allreco::eval {

namespace {

GenerationOptions generation_options(const EvaluateConfig& config) {
  return {.max_new_tokens = config.max_new_tokens,
          .max_batch_examples = config.per_device_eval_batch_size,
          .max_tokens_per_batch = config.max_tokens_per_batch};
}

/// Else all items would be ranked, and called "items of the history left out".
void require_histories(const data::Dataset& dataset, const EvaluateConfig& config) {
  if (!config.catalogue.ranks_catalogue() || !config.catalogue.excludes_history() || dataset.has_histories()) return;
  if (config.control == "blank_history")
    core::user_error(
        "history_items = exclude leaves out items of the history, but control = blank_history has none: leave one out");
  core::user_error(
      "history_items = exclude leaves out items of the history, but the split {} of {} does not say which these are: "
      "use history_items = rank, or prepare the dataset from reviews or sequences",
      config.split, dataset.info().directory.string());
}

/// Reads what all parts need and refuses what cannot work, before any work starts.
Measured read_all(dist::Session& session, const model::ModelConfig* model, const data::Dataset& dataset,
                  const EvaluateConfig& config, const std::vector<std::int64_t>& eos) {
  Measured measured;
  session.together("reading the examples", [&] {
    core::check_options(config);
    core::require((model == nullptr) == config.baselines_only, "a model, or baselines_only");
    if (config.base_model_baseline && config.catalogue.ranking == "none")
      core::user_error(
          "base_model_baseline = true ranks with the model without its adapter, but ranking = none: leave one out");
    if (model) data::require_vocabulary_fits(dataset.info(), model->vocab_size);
    require_histories(dataset, config);
    measured.catalogue = data::read_catalogue(dataset.info());
    measured.examples = read_eval_examples(dataset, num_to_evaluate(dataset, config.max_eval_samples), eos);
    if (config.catalogue.ranks_catalogue())
      measured.catalogue_ranking = rankable_examples(dataset, measured.examples, measured.catalogue);
    if (!model) return;
    for (const EvalExample& example : measured.examples)
      measured.num_beyond_context += dataset.length(example.index) > model->max_position_embeddings;
    if (config.generate)
      measured.plan =
          plan_generation(dataset, measured.examples, generation_options(config), model->max_position_embeddings);
  });
  return measured;
}

std::optional<data::Tokenizer> tokenizer_of(const data::DatasetInfo& info) {
  if (info.tokenizer_sha256.empty()) return std::nullopt;
  return data::Tokenizer(info.directory);
}

/// Every rank finds the same.
void require_finite(const LossResult& loss, model::Decoder& decoder, const data::Dataset& dataset,
                    const std::string& split) {
  if (!loss.first_not_finite) return;
  const Chunk& chunk = *loss.first_not_finite;
  std::int64_t example = chunk.begin;
  const auto is_finite = [&](std::int64_t i) { return std::isfinite(chunk_nll(decoder, dataset, {i, i + 1, 0})); };
  while (example + 1 < chunk.end && is_finite(example)) ++example;
  core::fault(
      "the loss of example {} of the split {} is not finite, so nothing is written: weights of the model or of the "
      "adapter are unusable, or overflow in this dtype (try dtype = float32)",
      example, split);
}

/// Scores of candidates and, of the whole catalogue, ranks by the headline's kind.
void run_base_model(dist::Session& session, model::Decoder& base, const data::Dataset& dataset,
                    const EvaluateConfig& config, Measured& measured) {
  const std::int64_t max_tokens = config.max_tokens_per_batch;
  if (!measured.scores.empty())
    measured.base_scores = score_candidates(session, base, dataset, measured.examples, measured.catalogue, max_tokens);
  if (measured.catalogue_ranking.kinds.empty()) return;
  CatalogueRanking ranking =
      rank_catalogue(session, base, dataset, measured.examples, measured.catalogue, config.catalogue, max_tokens);
  measured.catalogue_ranking.base_ranks = std::move(ranking.ranks.front());
}

void run_model(dist::Session& session, model::Decoder& decoder, const data::Dataset& dataset,
               const EvaluateConfig& config, const std::vector<std::int64_t>& eos, Measured& measured) {
  const std::int64_t max_tokens = config.max_tokens_per_batch;
  measured.loss = evaluate_loss(session, decoder, dataset, max_tokens, config.max_eval_samples);
  require_finite(*measured.loss, decoder, dataset, config.split);
  if (config.catalogue.ranking != "none" && measured.any_candidates() && !measured.catalogue.empty()) {
    measured.scores = score_candidates(session, decoder, dataset, measured.examples, measured.catalogue, max_tokens);
    auto label_scores = score_option_labels(session, decoder, dataset, measured.examples, max_tokens);
    if (label_scores) measured.label_scores = std::move(*label_scores.value);
    measured.labels_not_applicable = label_scores.not_applicable;
  }
  if (config.catalogue.ranks_catalogue())
    measured.catalogue_ranking =
        rank_catalogue(session, decoder, dataset, measured.examples, measured.catalogue, config.catalogue, max_tokens);
  if (config.generate)
    measured.answers =
        generate_answers(session, decoder, dataset, measured.examples, generation_options(config), measured.plan, eos);
}

}  // namespace

Evaluation evaluate(dist::Session& session, const ModelToEvaluate* model, const data::Dataset& dataset,
                    const EvaluateConfig& config, const data::DatasetInfo& fitted_on) {
  const model::ModelConfig* model_config = model ? &model->decoder.config() : nullptr;
  const std::vector<std::int64_t> eos =
      end_tokens(dataset.info(), model ? model_config->eos_token_ids : std::vector<std::int64_t>());
  Measured measured = read_all(session, model_config, dataset, config, eos);
  if (model) run_model(session, model->decoder, dataset, config, eos, measured);
  if (model && config.base_model_baseline) {
    core::require(model->base != nullptr, "base_model_baseline needs the model without its adapter");
    run_base_model(session, *model->base, dataset, config, measured);
  }

  Evaluation evaluation;
  const double ddp_timeout = session.set_timeout(dist::Session::kAnyTime);  // baselines over a large catalogue
  session.together("evaluation report", [&] {
    if (!session.is_leader()) return;
    evaluation.tokenizer = tokenizer_of(dataset.info());
    const data::Tokenizer* tokenizer = evaluation.tokenizer ? &*evaluation.tokenizer : nullptr;
    const auto description = model ? std::optional(model->description) : std::nullopt;
    evaluation.document = document_of(dataset, fitted_on, measured, config, description, tokenizer);
    evaluation.examples = std::move(measured.examples);
    evaluation.scores = std::move(measured.scores);
    evaluation.catalogue_ranking = std::move(measured.catalogue_ranking);
    evaluation.answers = std::move(measured.answers);
  });
  session.set_timeout(ddp_timeout);
  return evaluation;
}

void write_evaluation(const std::filesystem::path& output_dir, const Evaluation& evaluation) {
  core::make_directory(output_dir);
  const std::filesystem::path predictions = output_dir / "predictions.jsonl";
  write_predictions(predictions, evaluation);
  EvaluationDocument document = evaluation.document;
  document.predictions_sha256 = core::sha256_of_file(predictions);
  core::write_json_file(output_dir / "evaluation.json", core::json_of(document));
}

}  // namespace allreco::eval
