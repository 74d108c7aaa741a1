#include "eval/evaluate.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/files.h"
#include "core/options_json.h"
#include "eval/candidate_report.h"
#include "eval/generation.h"
#include "eval/generation_report.h"
#include "eval/loss.h"
#include "eval/predictions.h"

namespace allreco::eval {

namespace {

/// What every rank knows before and while it measures.
struct Measured {
  std::vector<data::Item> catalogue;
  std::vector<EvalExample> examples;
  std::int64_t num_beyond_context = 0;  // examples with more tokens than max_position_embeddings
  LossResult loss;
  std::vector<CandidateScores> scores;
  std::vector<std::vector<data::TokenId>> answers;
  GenerationPlan plan;
};

void check_fit(const model::ModelConfig& model, const data::DatasetInfo& info) {
  if (info.vocab_size > model.vocab_size)
    core::user_error(
        "the dataset {} has a vocabulary of {} tokens, the model one of {}: prepare the dataset with the model's own "
        "tokenizer",
        info.directory.string(), info.vocab_size, model.vocab_size);
}

bool any_candidates(std::span<const EvalExample> examples) {
  return std::any_of(examples.begin(), examples.end(), [](const EvalExample& s) { return !s.candidates.empty(); });
}

GenerationOptions generation_options(const EvaluateConfig& config) {
  return {.max_new_tokens = config.max_new_tokens,
          .max_batch_examples = config.per_device_eval_batch_size,
          .max_tokens_per_batch = config.max_tokens_per_batch};
}

/// Reads what all parts need and refuses what cannot work, before any work starts.
Measured read_all(dist::Session& session, const model::ModelConfig& model, const data::Dataset& dataset,
                  const EvaluateConfig& config, const std::vector<std::int64_t>& eos) {
  Measured measured;
  session.together("reading the examples", [&] {
    core::check_options(config);
    check_fit(model, dataset.info());
    measured.catalogue = data::read_catalogue(dataset.info());
    measured.examples = read_eval_examples(dataset, num_to_evaluate(dataset, config.max_eval_samples), eos);
    for (const EvalExample& example : measured.examples)
      measured.num_beyond_context += dataset.length(example.index) > model.max_position_embeddings;
    if (config.generate)
      measured.plan =
          plan_generation(dataset, measured.examples, generation_options(config), model.max_position_embeddings);
  });
  return measured;
}

/// A text at `pointer` of dataset.json; "unknown" where prepare wrote none.
std::string described(const data::DatasetInfo& info, const char* pointer) {
  const core::Json::json_pointer at(pointer);
  return info.json.contains(at) && info.json[at].is_string() ? info.json[at].get<std::string>() : "unknown";
}

std::string negatives_of(const data::DatasetInfo& info) {
  return described(info, "/source") == "prompts" ? "as the prompts give them"
                                                 : described(info, "/candidates/negatives");
}

DatasetDescription description_of(const data::Dataset& dataset, const EvaluateConfig& config,
                                  const Measured& measured) {
  const data::DatasetInfo& info = dataset.info();
  std::vector<std::optional<std::uint64_t>> users;
  for (const EvalExample& example : measured.examples) users.push_back(example.user);
  DatasetDescription description{.directory = info.directory.string(),
                                 .fingerprint = info.fingerprint,
                                 .split = config.split,
                                 .split_by = described(info, "/split_method/method"),
                                 .num_examples = dataset.size(),
                                 .num_examples_evaluated = std::ssize(measured.examples),
                                 .num_examples_beyond_context = measured.num_beyond_context,
                                 .num_users = clusters_of(users).num_users};
  for (std::size_t i = 0; i < description.quoted.size(); ++i) {
    const char* key = DatasetDescription::kQuoted[i];
    if (info.json.contains(key)) description.quoted[i] = info.json[key];
  }
  return description;
}

void warn_of_dataset(const DatasetDescription& dataset, std::vector<std::string>& warnings) {
  if (dataset.num_examples_beyond_context > 0)
    warnings.push_back(fmt::format("{} examples are longer than the model's context (max_position_embeddings)",
                                   dataset.num_examples_beyond_context));
  if (dataset.split_by == "random")
    warnings.emplace_back(
        "the split is random: the same shoppers and their later purchases are in train; a split by time is the honest "
        "one");
  if (dataset.num_examples_evaluated != dataset.num_examples)
    warnings.push_back(fmt::format("only the first {} of {} examples were evaluated", dataset.num_examples_evaluated,
                                   dataset.num_examples));
}

LossReport loss_report(const LossResult& loss) {
  return {loss.mean_nll(), loss.perplexity(), loss.sum_nll, loss.supervised_tokens};
}

core::Part<CandidateReport> candidates_part(const data::Dataset& dataset, const Measured& measured,
                                            const BootstrapOptions& bootstrap, std::vector<std::string>& warnings) {
  if (!dataset.has_candidates()) return {{}, "the examples have no candidates"};
  if (measured.catalogue.empty()) return {{}, "the dataset has no items.jsonl"};
  if (measured.scores.empty()) return {{}, "no example has candidates of which the right one is known"};
  CandidateReport report =
      candidate_report(measured.examples, measured.scores, measured.catalogue, bootstrap, warnings);
  report.negatives = negatives_of(dataset.info());
  return {std::move(report), ""};
}

/// The document, on rank 0.
EvaluationDocument document_of(const data::Dataset& dataset, const Measured& measured, const EvaluateConfig& config,
                               const ModelDescription& model_description, const data::Tokenizer* tokenizer) {
  const BootstrapOptions bootstrap{config.bootstrap_samples, config.seed};
  EvaluationDocument document;
  document.model = model_description;
  document.dataset = description_of(dataset, config, measured);
  document.options = core::options_json(config);
  document.intervals = fmt::format(
      "wilson_95: of a share, examples taken as independent; bootstrap_95: percentiles of {} resamples of users (of "
      "examples where users are unknown)",
      config.bootstrap_samples);
  warn_of_dataset(document.dataset, document.warnings);
  document.loss = {loss_report(measured.loss), ""};
  document.candidates = candidates_part(dataset, measured, bootstrap, document.warnings);
  if (config.generate)
    document.generation = {generation_report(dataset.info(), measured.examples, measured.answers, measured.catalogue,
                                             tokenizer, measured.plan, bootstrap, document.warnings),
                           ""};
  else
    document.generation = {{}, "generate = false"};
  return document;
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
      "adapter are "
      "unusable, or overflow in this dtype (try dtype = float32)",
      example, split);
}

}  // namespace

Evaluation evaluate(dist::Session& session, model::Decoder& decoder, const data::Dataset& dataset,
                    const EvaluateConfig& config, const ModelDescription& model_description) {
  const std::vector<std::int64_t> eos = end_tokens(dataset.info(), decoder.config().eos_token_ids);
  Measured measured = read_all(session, decoder.config(), dataset, config, eos);
  measured.loss = evaluate_loss(session, decoder, dataset, config.max_tokens_per_batch, config.max_eval_samples);
  require_finite(measured.loss, decoder, dataset, config.split);
  if (any_candidates(measured.examples) && !measured.catalogue.empty())
    measured.scores =
        score_candidates(session, decoder, dataset, measured.examples, measured.catalogue, config.max_tokens_per_batch);
  if (config.generate)
    measured.answers =
        generate_answers(session, decoder, dataset, measured.examples, generation_options(config), measured.plan, eos);

  Evaluation evaluation;
  session.together("evaluation report", [&] {
    if (!session.is_leader()) return;
    evaluation.tokenizer = tokenizer_of(dataset.info());
    const data::Tokenizer* tokenizer = evaluation.tokenizer ? &*evaluation.tokenizer : nullptr;
    evaluation.document = document_of(dataset, measured, config, model_description, tokenizer);
    evaluation.examples = std::move(measured.examples);
    evaluation.scores = std::move(measured.scores);
    evaluation.answers = std::move(measured.answers);
  });
  return evaluation;
}

void write_evaluation(const std::filesystem::path& output_dir, const Evaluation& evaluation) {
  core::make_directory(output_dir);
  write_predictions(output_dir / "predictions.jsonl", evaluation);
  core::write_json_file(output_dir / "evaluation.json", core::json_of(evaluation.document));
}

}  // namespace allreco::eval
