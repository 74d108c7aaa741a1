// The structs of evaluation.json: what evaluate found. Each describes its fields once, for writing and for reading
// (core/json_fields.h); docs/evaluation.md says what they mean.
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/json_fields.h"
#include "eval/analysis_document.h"
#include "eval/catalogue_document.h"
#include "eval/estimates.h"
#include "eval/yes_no.h"

namespace allreco::eval {

struct ModelDescription {
  std::string model_name_or_path = {};
  std::string model_fingerprint = {};  // of the base's files
  std::string adapter_name_or_path = {};
  std::optional<std::string> adapter_fingerprint = {};  // none: the bare base
  std::string dtype = {};
  std::string storage = {};

  template <class Archive>
  void fields(Archive& a) {
    a("model_name_or_path", model_name_or_path);
    a("model_fingerprint", model_fingerprint);
    a("adapter_name_or_path", adapter_name_or_path);
    a.or_null("adapter_fingerprint", adapter_fingerprint);
    a("dtype", dtype);
    a("storage", storage);
  }
};

struct DatasetDescription {
  /// What is quoted of dataset.json.
  static constexpr std::array kQuoted = {"command",
                                         "source",
                                         "split_method",
                                         "template",
                                         "candidates",
                                         "counts",
                                         "share_of_targets_tied_with_last_item",
                                         "share_of_targets_with_title_in_history"};

  std::string directory = {};
  std::string fingerprint = {};
  std::string split = {};
  std::string control = "none";
  std::optional<std::string> control_of = {};  // the fingerprint of the dataset that the control was made of
  std::string split_by = {};
  std::int64_t num_examples = 0;
  std::int64_t num_examples_evaluated = 0;
  std::int64_t num_examples_beyond_context = 0;  // longer than the model's max_position_embeddings
  std::int64_t num_users = 0;                    // of the evaluated examples; 0: users are not known
  std::array<std::optional<core::Json>, kQuoted.size()> quoted = {};

  template <class Archive>
  void fields(Archive& a) {
    a("directory", directory);
    a("fingerprint", fingerprint);
    a("split", split);
    a("control", control);
    a("control_of", control_of);
    a("split_by", split_by);
    a("num_examples", num_examples);
    a("num_examples_evaluated", num_examples_evaluated);
    a("num_examples_beyond_context", num_examples_beyond_context);
    a("num_users", num_users);
    for (std::size_t i = 0; i < kQuoted.size(); ++i) a(kQuoted[i], quoted[i]);
  }

  /// Of the dataset whose examples these are, changed by a control or not: what a comparison pairs.
  const std::string& fingerprint_of_examples() const { return control_of ? *control_of : fingerprint; }
};

struct LossReport {
  double mean_nll = 0;
  double perplexity = 0;
  double sum_nll = 0;
  std::int64_t supervised_tokens = 0;

  template <class Archive>
  void fields(Archive& a) {
    a("mean_nll", mean_nll);
    a("perplexity", perplexity);
    a("sum_nll", sum_nll);
    a("supervised_tokens", supervised_tokens);
  }
};

/// Means over examples.
struct RankSummary {
  double mid = 0, optimistic = 0, pessimistic = 0;
  double accuracy_if_ties_count_as_right = 0, accuracy_if_ties_count_as_wrong = 0;
  std::int64_t examples_with_ties = 0;

  template <class Archive>
  void fields(Archive& a) {
    a("mid", mid);
    a("optimistic", optimistic);
    a("pessimistic", pessimistic);
    a("accuracy_if_ties_count_as_right", accuracy_if_ties_count_as_right);
    a("accuracy_if_ties_count_as_wrong", accuracy_if_ties_count_as_wrong);
    a("examples_with_ties", examples_with_ties);
  }
};

/// A rule beside the model: its metrics, or why it has none.
struct BaselineReport {
  std::string description = {};
  std::optional<std::string> not_applicable = {};
  std::optional<RankSummary> ranks = {};
  Estimates metrics = {};

  const Estimates& estimates() const { return metrics; }
  template <class Archive>
  void fields(Archive& a) {
    a("description", description);
    a("not_applicable", not_applicable);
    a("ranks", ranks);
    a.inlined(metrics);
  }
};
using BaselineReports = core::Named<BaselineReport>;

/// One way of scoring candidates.
struct CandidateScoresReport {
  std::string formula = {};
  double ece_15_equal_width_bins = 0, ece_15_equal_mass_bins = 0;
  double auc_per_user = 0, auc_pooled = 0;
  RankSummary ranks = {};
  std::vector<std::int64_t> chosen_position_histogram = {};
  Estimates metrics = {};

  template <class Archive>
  void fields(Archive& a) {
    a("formula", formula);
    a("ece_15_equal_width_bins", ece_15_equal_width_bins);
    a("ece_15_equal_mass_bins", ece_15_equal_mass_bins);
    a("auc_per_user", auc_per_user);
    a("auc_pooled", auc_pooled);
    a("ranks", ranks);
    a("chosen_position_histogram", chosen_position_histogram);
    a.inlined(metrics);
  }
};

/// What the reader must know about the lists.
struct ListFacts {
  struct NumCandidates {
    std::int64_t fewest = 0, most = 0;
    double mean = 0;
    template <class Archive>
    void fields(Archive& a) {
      a("fewest", fewest);
      a("most", most);
      a("mean", mean);
    }
  };
  std::int64_t num_examples = 0;
  std::int64_t num_examples_left_out = 0;
  NumCandidates num_candidates = {};
  std::vector<std::int64_t> gold_position_histogram = {};
  std::vector<double> gold_position_expected = {};  // were the lists shuffled
  std::int64_t num_examples_with_equal_titles = 0;
  std::int64_t num_examples_whose_answer_is_not_the_title = 0;
  std::int64_t num_examples_with_last_item_among_candidates = 0;
  std::int64_t num_examples_without_last_item = 0;

  template <class Archive>
  void fields(Archive& a) {
    a("num_examples", num_examples);
    a("num_examples_left_out", num_examples_left_out);
    a("num_candidates", num_candidates);
    a("gold_position_histogram", gold_position_histogram);
    a("gold_position_expected", gold_position_expected);
    a("num_examples_with_equal_titles", num_examples_with_equal_titles);
    a("num_examples_whose_answer_is_not_the_title", num_examples_whose_answer_is_not_the_title);
    a("num_examples_with_last_item_among_candidates", num_examples_with_last_item_among_candidates);
    a("num_examples_without_last_item", num_examples_without_last_item);
  }
};

struct CandidateReport {
  ListFacts lists = {};
  std::string negatives = {};
  std::string ties = {};
  std::string headline = {}, headline_reason = {};  // a name of `scores`
  std::optional<std::string> note = {};
  core::Named<CandidateScoresReport> scores = {};
  BaselineReports baselines = {};
  std::optional<YesNoReport> yes_no = {};

  template <class Archive>
  void fields(Archive& a) {
    lists.fields(a);
    a("negatives", negatives);
    a("ties", ties);
    a("headline", headline);
    a("headline_reason", headline_reason);
    a("note", note);
    a("scores", scores);
    a("baselines", baselines);
    a("yes_no", yes_no);
  }
};

struct GenerationReport {
  std::string decoding = {};
  std::string match = {};  // how answers are compared
  std::int64_t num_examples = 0;
  std::int64_t max_new_tokens = 0;
  std::int64_t longest_answer_tokens = 0;
  std::int64_t num_cut_by_context = 0;
  std::int64_t num_unfinished = 0;
  std::int64_t num_empty = 0;
  std::optional<GenerationErrors> errors = {};  // with a tokenizer and a catalogue
  Estimates metrics = {};                       // exact_match, and where there is a catalogue valid: some item's title
  BaselineReports baselines = {};

  template <class Archive>
  void fields(Archive& a) {
    a("decoding", decoding);
    a("match", match);
    a("num_examples", num_examples);
    a("max_new_tokens", max_new_tokens);
    a("longest_answer_tokens", longest_answer_tokens);
    a("num_cut_by_context", num_cut_by_context);
    a("num_unfinished", num_unfinished);
    a("num_empty", num_empty);
    a("errors", errors);
    a.inlined(metrics);
    a("baselines", baselines);
  }
};

struct EvaluationDocument {
  static constexpr const char* kFormat = "allreco-evaluation";
  // 2: model.adapter_fingerprint. 3: ndcg and mrr of ties are expectations
  static constexpr int kVersion = 3;

  std::string format = kFormat;
  std::int64_t format_version = kVersion;
  core::Part<ModelDescription> model = {};
  DatasetDescription dataset = {};
  core::Json options = {};
  std::string intervals = {};  // how they were made
  core::Part<LossReport> loss = {};
  core::Part<CandidateReport> candidates = {};
  core::Part<CatalogueReport> catalogue = {};
  core::Part<GenerationReport> generation = {};
  core::Part<ErrorAnalysis> errors = {};
  std::vector<std::string> warnings = {};
  std::optional<std::string> predictions_sha256 = {};  // of the predictions.jsonl beside it; none: an older program

  template <class Archive>
  void fields(Archive& a) {
    a("format", format);
    a("format_version", format_version);
    a("model", model);
    a("dataset", dataset);
    a("options", options);
    a("intervals", intervals);
    a("loss", loss);
    a("candidates", candidates);
    a("catalogue", catalogue);
    a("generation", generation);
    a("errors", errors);
    a("warnings", warnings);
    a("predictions_sha256", predictions_sha256);
  }
};

/// The estimate of that name; UserError where there is none: a document may come from elsewhere.
const Estimate& estimate_of(const Estimates& estimates, std::string_view metric);

/// Whether predictions.jsonl in `directory` was written with this document there; true where the document does not say.
bool are_of(const EvaluationDocument& document, const std::filesystem::path& directory);

/// UserError for what is no evaluation, or one of another version. `where` names it.
EvaluationDocument evaluation_of(const core::Json& json, const std::string& where);
EvaluationDocument read_evaluation(const std::filesystem::path& path);

/// Whether figures of the whole catalogue may stand side by side, given the same examples: ranked by the same rule for
/// items of the history and as deep. Baselines alone (ranking none) are ranked whole, like exhaustive.
bool same_catalogue_task(const CatalogueReport& a, const CatalogueReport& b);
/// "exhaustive" or "beam of 20".
std::string ranking_text(const CatalogueReport& report);
/// "exhaustive; items of the history are ranked, too".
std::string catalogue_task_text(const CatalogueReport& report);

/// What rank 0 prints: every accuracy with its intervals, and the baselines beside it.
std::string accuracy_table(const EvaluationDocument& document);

/// Adds one warning that names all baselines whose `metric` reaches the lower end of the model's Wilson interval: then
/// they are the finding, not the model.
void warn_of_values(const std::string& what, const Estimate& of_model, const core::Named<double>& baselines,
                    std::vector<std::string>& warnings);
template <class Reports>
void warn_of_baselines(const std::string& what, const Estimates& of_model, const Reports& baselines,
                       const std::string& metric, std::vector<std::string>& warnings) {
  core::Named<double> values;
  for (const auto& [name, baseline] : baselines)
    if (!baseline.not_applicable) values.emplace_back(name, estimate_of(baseline.estimates(), metric).value);
  warn_of_values(what, estimate_of(of_model, metric), values, warnings);
}
/// The same of the whole catalogue's headline, at the cutoff of 10.
void warn_of_catalogue(const CatalogueReport& report, std::vector<std::string>& warnings);

}  // namespace allreco::eval
