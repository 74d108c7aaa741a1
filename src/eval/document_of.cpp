#include "core/options_json.h"
#include "eval/candidate_report.h"
#include "eval/catalogue_report.h"
#include "eval/error_analysis.h"
#include "eval/generation_report.h"
#include "eval/measured.h"

namespace allreco::eval {

namespace {

/// A text at `pointer` of dataset.json; "unknown" where prepare wrote none.
std::string described(const data::DatasetInfo& info, const char* pointer) {
  const core::Json::json_pointer at(pointer);
  return info.json.contains(at) && info.json[at].is_string() ? info.json[at].get<std::string>() : "unknown";
}

std::string negatives_of(const data::DatasetInfo& info) {
  const std::string negatives = described(info, "/candidates/negatives");
  const bool are_given = described(info, "/source") == "prompts" && (negatives == "given" || negatives == "unknown");
  return are_given ? "as the prompts give them" : negatives;
}

DatasetDescription description_of(const data::Dataset& dataset, const data::DatasetInfo& fitted_on,
                                  const EvaluateConfig& config, const Measured& measured) {
  const data::DatasetInfo& info = dataset.info();
  std::vector<std::optional<std::uint64_t>> users;
  for (const EvalExample& example : measured.examples) users.push_back(example.user);
  DatasetDescription description{.directory = fitted_on.directory.string(),
                                 .fingerprint = info.fingerprint,
                                 .split = config.split,
                                 .control = config.control,
                                 .split_by = described(info, "/split_method/method"),
                                 .num_examples = dataset.size(),
                                 .num_examples_evaluated = std::ssize(measured.examples),
                                 .num_examples_beyond_context = measured.num_beyond_context,
                                 .num_users = clusters_of(users).num_users};
  if (config.control != "none") description.control_of = fitted_on.fingerprint;
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
  if (dataset.control != "none") warnings.push_back("the split is a control: " + dataset.control);
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

/// The parts that come of one evaluation; warnings are collected on the way.
class Builder {
 public:
  Builder(const data::Dataset& dataset, const data::DatasetInfo& fitted_on, const Measured& measured,
          const EvaluateConfig& config, const data::Tokenizer* tokenizer)
      : dataset_(dataset),
        fitted_on_(fitted_on),
        measured_(measured),
        config_(config),
        tokenizer_(tokenizer),
        bootstrap_{config.bootstrap_samples, config.seed} {
    train_ = read_train_sequences(fitted_on);
    baselines_ = item_baselines(measured.catalogue, train_, measured.examples);
  }

  core::Part<LossReport> loss() const {
    if (!measured_.loss) return {{}, kNoModel};
    return {loss_report(*measured_.loss), ""};
  }

  core::Part<CandidateReport> candidates() {
    if (config_.catalogue.ranking == "none") return {{}, "ranking = none"};
    if (config_.control == "shuffled_labels" && config_.catalogue.ranks_catalogue())
      return {{}, "control = shuffled_labels draws among the whole catalogue: ranking = candidates draws among them"};
    if (!dataset_.has_candidates()) return {{}, "the examples have no candidates"};
    if (measured_.catalogue.empty()) return {{}, "the dataset has no items.jsonl"};
    if (!measured_.any_candidates()) return {{}, "no example has candidates of which the right one is known"};
    CandidateReport report =
        candidate_report(measured_.examples, {measured_.scores, measured_.label_scores, measured_.base_scores},
                         measured_.catalogue, baselines_.of_both, bootstrap_, warnings);
    report.negatives = negatives_of(dataset_.info());
    if (!measured_.labels_not_applicable.empty())
      warnings.push_back("the options are not ranked by their labels: " + measured_.labels_not_applicable);
    return {std::move(report), ""};
  }

  core::Part<CatalogueReport> catalogue() {
    const CatalogueRanking& ranking = measured_.catalogue_ranking;
    if (!config_.catalogue.ranks_catalogue()) return {{}, "ranking = " + config_.catalogue.ranking};
    if (ranking.not_applicable) return {{}, *ranking.not_applicable};
    std::vector<ItemBaseline> baselines = baselines_.of_catalogue_only;
    baselines.insert(baselines.end(), baselines_.of_both.begin(), baselines_.of_both.end());
    const CatalogueTask task{measured_.examples, measured_.catalogue, config_.catalogue, bootstrap_};
    CatalogueReport report = catalogue_report(task, ranking, baselines, train_);
    warn_of_catalogue(report, warnings);
    return {std::move(report), ""};
  }

  core::Part<GenerationReport> generation() {
    if (config_.baselines_only) return {{}, kNoModel};
    if (!config_.generate) return {{}, "generate = false"};
    return {generation_report(fitted_on_, measured_.examples, measured_.answers, measured_.catalogue, tokenizer_,
                              measured_.plan, bootstrap_, warnings),
            ""};
  }

  core::Part<ErrorAnalysis> errors() const {
    if (config_.baselines_only) return {{}, kNoModel};
    std::optional<ErrorAnalysis> analysis = error_analysis(dataset_, measured_, config_, train_, tokenizer_);
    if (!analysis) return {{}, "nothing was ranked or generated"};
    return {std::move(analysis), ""};
  }

  static constexpr const char* kNoModel = "baselines_only = true";
  std::vector<std::string> warnings;

 private:
  const data::Dataset& dataset_;
  const data::DatasetInfo& fitted_on_;
  const Measured& measured_;
  const EvaluateConfig& config_;
  const data::Tokenizer* tokenizer_;
  BootstrapOptions bootstrap_;
  TrainSequences train_;
  ItemBaselineSet baselines_;
};

}  // namespace

EvaluationDocument document_of(const data::Dataset& dataset, const data::DatasetInfo& fitted_on,
                               const Measured& measured, const EvaluateConfig& config,
                               const std::optional<ModelDescription>& model, const data::Tokenizer* tokenizer) {
  EvaluationDocument document;
  document.model = {model, model ? "" : Builder::kNoModel};
  document.dataset = description_of(dataset, fitted_on, config, measured);
  document.options = core::options_json(config);
  document.intervals = fmt::format(
      "wilson_95: of a share, examples taken as independent; bootstrap_95: percentiles of {} resamples of {}",
      config.bootstrap_samples, document.dataset.num_users > 0 ? "users" : "examples (their users are not known)");
  Builder builder(dataset, fitted_on, measured, config, tokenizer);
  warn_of_dataset(document.dataset, builder.warnings);
  document.loss = builder.loss();
  document.candidates = builder.candidates();
  document.catalogue = builder.catalogue();
  document.generation = builder.generation();
  document.errors = builder.errors();
  document.warnings = std::move(builder.warnings);
  return document;
}

}  // namespace allreco::eval
