#include "eval/compare.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "core/check.h"
#include "core/text.h"
#include "data/input/line_reader.h"
#include "eval/metrics.h"

namespace allreco::eval {

namespace {

using core::Json;

/// What predictions.jsonl says of one example.
struct Prediction {
  std::int64_t index = 0;
  std::optional<std::uint64_t> user = {};
  std::map<std::string, double> values = {};  // by metric
};

Ranks ranks_at(const Json& json, const std::string& where) {
  const auto optimistic = core::from_json<std::int64_t>(json.value("optimistic", Json()), where);
  const auto pessimistic = core::from_json<std::int64_t>(json.value("pessimistic", Json()), where);
  if (optimistic < 1 || pessimistic < optimistic || pessimistic > std::int64_t{1} << 32)
    core::user_error("{}: {} to {} is no rank", where, optimistic, pessimistic);
  return {optimistic - 1, pessimistic - optimistic, pessimistic};
}

void add_rank(Prediction& prediction, const std::string& of, const Ranks& ranks) {
  prediction.values[of + " accuracy"] = hit_rate(ranks, 1);
  prediction.values[of + " hit_rate@10"] = hit_rate(ranks, 10);
  prediction.values[of + " ndcg@10"] = ndcg(ranks, 10);
  prediction.values[of + " mrr"] = reciprocal_rank(ranks);
}

std::vector<Prediction> read_predictions(const std::filesystem::path& path) {
  data::LineReader reader(path);
  std::vector<Prediction> predictions;
  for (std::string line; reader.next(line);) {
    const std::string where = fmt::format("{}, line {}", path.string(), reader.line_number());
    const Json json = core::parse_json(line, where);
    if (!json.is_object()) core::user_error("{}: an object is expected", where);
    Prediction prediction{.index = core::from_json<std::int64_t>(json.value("index", Json()), where)};
    if (json.contains("user")) prediction.user = core::from_json<std::uint64_t>(json["user"], where);
    if (json.contains("rank")) add_rank(prediction, "candidates", ranks_at(json["rank"], where));
    if (json.contains("catalogue_rank")) add_rank(prediction, "catalogue", ranks_at(json["catalogue_rank"], where));
    if (json.contains("exact_match"))
      prediction.values["exact_match"] = core::from_json<bool>(json["exact_match"], where) ? 1.0 : 0.0;
    predictions.push_back(std::move(prediction));
  }
  return predictions;
}

void require_same(const char* what, const std::string& a, const std::string& b) {
  if (a != b)
    core::user_error("the evaluations cannot be compared: {} is {} in the first and {} in the second", what, a, b);
}

void require_own_predictions(const EvaluationDocument& document, const std::filesystem::path& directory) {
  if (!are_of(document, directory))
    core::user_error(
        "{}/predictions.jsonl is not of the evaluation.json beside it: it was replaced, or an evaluation was stopped "
        "while it wrote. Evaluate again",
        directory.string());
}

void require_same_task(const EvaluationDocument& a, const EvaluationDocument& b) {
  require_same("the dataset's fingerprint", a.dataset.fingerprint_of_examples(), b.dataset.fingerprint_of_examples());
  require_same("the split", a.dataset.split, b.dataset.split);
  require_same("the number of examples", fmt::format("{}", a.dataset.num_examples_evaluated),
               fmt::format("{}", b.dataset.num_examples_evaluated));
  if (!a.catalogue || !b.catalogue || same_catalogue_task(*a.catalogue, *b.catalogue)) return;
  require_same("history_items", a.catalogue->history_items, b.catalogue->history_items);
  require_same("the ranking of the catalogue", ranking_text(*a.catalogue), ranking_text(*b.catalogue));
}

/// As catalogue_report leaves out what its beams do not reach.
bool is_reached(const std::string& metric, const EvaluationDocument& document) {
  const bool looks_at_ten = metric == "catalogue hit_rate@10" || metric == "catalogue ndcg@10";
  return !looks_at_ten || !document.catalogue || is_within_beams(10, document.catalogue->num_beams);
}

/// One metric over the examples that have it in both.
PairedMetric paired(const std::string& metric, const std::vector<Prediction>& a, const std::vector<Prediction>& b,
                    const BootstrapOptions& bootstrap) {
  PairedMetric result{.metric = metric};
  Column difference{"difference", {}};
  std::vector<double> of_a, of_b;
  std::vector<std::optional<std::uint64_t>> users;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto x = a[i].values.find(metric), y = b[i].values.find(metric);
    if (x == a[i].values.end() || y == b[i].values.end()) continue;
    of_a.push_back(x->second);
    of_b.push_back(y->second);
    difference.values.push_back(y->second - x->second);
    users.push_back(a[i].user);
    result.num_a_better += x->second > y->second;
    result.num_b_better += y->second > x->second;
  }
  result.num_examples = std::ssize(of_a);
  result.a = mean(of_a);
  result.b = mean(of_b);
  result.difference = estimates_of({std::move(difference)}, clusters_of(users), bootstrap).front().second;
  result.p_mcnemar = mcnemar_p(result.num_a_better, result.num_b_better);
  const auto is_zero_or_one = [](double value) { return value == 0 || value == 1; };
  const bool all_are = std::ranges::all_of(of_a, is_zero_or_one) && std::ranges::all_of(of_b, is_zero_or_one);
  result.test = all_are ? "McNemar" : "sign test";
  return result;
}

/// The metrics that some example has in both.
std::vector<std::string> common_metrics(const std::vector<Prediction>& a, const std::vector<Prediction>& b) {
  std::map<std::string, bool> found;
  for (std::size_t i = 0; i < a.size(); ++i)
    for (const auto& [metric, value] : a[i].values)
      if (b[i].values.contains(metric)) found[metric] = true;
  std::vector<std::string> metrics;
  for (const auto& [metric, is_found] : found) metrics.push_back(metric);
  return metrics;
}

}  // namespace

double mcnemar_p(std::int64_t num_a_better, std::int64_t num_b_better) {
  const auto n = static_cast<double>(num_a_better + num_b_better);
  const std::int64_t fewer = std::min(num_a_better, num_b_better);
  double tail = 0;  // P(Binomial(n, 1/2) <= fewer)
  double log_term = -n * std::log(2.0);
  for (std::int64_t k = 0; k <= fewer; ++k) {
    tail += std::exp(log_term);
    log_term += std::log((n - static_cast<double>(k)) / (static_cast<double>(k) + 1));
  }
  return std::min(1.0, 2 * tail);
}

Comparison compare(const std::filesystem::path& a, const std::filesystem::path& b, const BootstrapOptions& bootstrap) {
  const EvaluationDocument document_a = read_evaluation(a / "evaluation.json");
  const EvaluationDocument document_b = read_evaluation(b / "evaluation.json");
  require_same_task(document_a, document_b);
  require_own_predictions(document_a, a);
  require_own_predictions(document_b, b);
  const std::vector<Prediction> of_a = read_predictions(a / "predictions.jsonl");
  const std::vector<Prediction> of_b = read_predictions(b / "predictions.jsonl");
  const bool is_same = std::equal(of_a.begin(), of_a.end(), of_b.begin(), of_b.end(),
                                  [](const Prediction& x, const Prediction& y) { return x.index == y.index; });
  if (!is_same || std::ssize(of_a) != document_a.dataset.num_examples_evaluated)
    core::user_error("the predictions of {} and {} are not of the same examples", a.string(), b.string());
  Comparison comparison{.a = a.string(),
                        .b = b.string(),
                        .a_control = document_a.dataset.control,
                        .b_control = document_b.dataset.control,
                        .dataset_fingerprint = document_a.dataset.fingerprint_of_examples(),
                        .split = document_a.dataset.split,
                        .resampled = document_a.dataset.num_users > 0 ? "users" : "examples"};
  for (const std::string& metric : common_metrics(of_a, of_b))
    if (is_reached(metric, document_a) && is_reached(metric, document_b))
      comparison.metrics.push_back(paired(metric, of_a, of_b, bootstrap));
  if (comparison.metrics.empty())
    core::user_error("{} and {} have no metric in common: evaluate both with the same ranking, or generate answers",
                     a.string(), b.string());
  return comparison;
}

std::string comparison_table(const Comparison& comparison) {
  const auto named = [](const std::string& directory, const std::string& control) {
    return control == "none" ? directory : fmt::format("{} (control: {})", directory, control);
  };
  std::string text =
      core::message("A: {}\nB: {}\nsplit {}; differences B - A; bootstrap over {} 95 %, paired; exact p\n",
                    named(comparison.a, comparison.a_control), named(comparison.b, comparison.b_control),
                    comparison.split, comparison.resampled);
  text += core::message("  {:<28} {:>8} {:>8} {:>8}  {:<20} {:>14} {:>9}\n", "", "A", "B", "B - A", "", "better A / B",
                        "p");
  for (const PairedMetric& m : comparison.metrics)
    text += core::message("  {:<28} {:8.4f} {:8.4f} {:+8.4f}  [{:+.4f}, {:+.4f}]  {:>6} / {:<6} {:9.2g}  {}\n",
                          m.metric, m.a, m.b, m.difference.value, m.difference.bootstrap_95.low,
                          m.difference.bootstrap_95.high, m.num_a_better, m.num_b_better, m.p_mcnemar, m.test);
  return text;
}

}  // namespace allreco::eval
