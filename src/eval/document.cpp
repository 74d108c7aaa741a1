#include "eval/document.h"

#include "core/check.h"
#include "core/files.h"

namespace allreco::eval {

const Estimate& estimate_of(const Estimates& estimates, std::string_view metric) {
  const Estimate* found = core::find(estimates, metric);
  if (!found) core::user_error("the evaluation has no estimate of {}", metric);
  return *found;
}

bool are_of(const EvaluationDocument& document, const std::filesystem::path& directory) {
  const auto& sha256 = document.predictions_sha256;
  return !sha256 || *sha256 == core::sha256_of_file(directory / "predictions.jsonl");
}

bool same_catalogue_task(const CatalogueReport& a, const CatalogueReport& b) {
  const bool has_baselines_alone = a.ranking == "none" || b.ranking == "none";
  return a.history_items == b.history_items && a.num_beams == b.num_beams &&
         (a.ranking == b.ranking || has_baselines_alone);
}

std::string ranking_text(const CatalogueReport& report) {
  if (report.num_beams > 0) return fmt::format("beam of {}", report.num_beams);
  return report.ranking == "none" ? "exhaustive" : report.ranking;
}

std::string catalogue_task_text(const CatalogueReport& report) {
  return fmt::format("{}; items of the history are {}", ranking_text(report),
                     report.history_items == "exclude" ? "left out" : "ranked, too");
}

EvaluationDocument read_evaluation(const std::filesystem::path& path) {
  return evaluation_of(core::read_json_file(path), path.string());
}

EvaluationDocument evaluation_of(const core::Json& json, const std::string& where) {
  if (!json.is_object() || json.value("format", core::Json()) != EvaluationDocument::kFormat)
    core::user_error("{} is not what `allreco evaluate` writes", where);
  if (json.value("format_version", core::Json()) != EvaluationDocument::kVersion)
    core::user_error("{} is of version {}, this program reads version {}: evaluate again", where,
                     json.value("format_version", core::Json()).dump(), EvaluationDocument::kVersion);
  return core::from_json<EvaluationDocument>(json, where);
}

void warn_of_values(const std::string& what, const Estimate& of_model, const core::Named<double>& baselines,
                    std::vector<std::string>& warnings) {
  core::require(of_model.wilson_95.has_value(), "baselines are compared with the Wilson interval of a share");
  std::string reached;
  for (const auto& [name, value] : baselines)
    if (value >= of_model.wilson_95->low)
      reached += fmt::format("{}{} {:.1f} %", reached.empty() ? "" : ", ", name, 100 * value);
  if (!reached.empty())
    warnings.push_back(
        fmt::format("{}: the model's {:.1f} % is not clearly above {}", what, 100 * of_model.value, reached));
}

void warn_of_catalogue(const CatalogueReport& report, std::vector<std::string>& warnings) {
  constexpr const char* kMetric = "hit_rate@10";
  const auto* headline = core::find(report.scores, report.headline);
  if (headline && core::find(headline->values.metrics, kMetric))
    warn_of_baselines(fmt::format("{} of {} items", kMetric, report.num_items), headline->values.metrics,
                      report.baselines, kMetric, warnings);
}

}  // namespace allreco::eval
