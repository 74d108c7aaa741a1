#include "eval/document.h"

#include "core/check.h"

namespace allreco::eval {

const Estimate& estimate_of(const Estimates& estimates, std::string_view metric) {
  const Estimate* found = core::find(estimates, metric);
  if (!found) core::fault("there is no estimate of {}", metric);
  return *found;
}

EvaluationDocument read_evaluation(const std::filesystem::path& path) {
  const core::Json json = core::read_json_file(path);
  const std::string where = path.string();
  if (!json.is_object() || json.value("format", core::Json()) != EvaluationDocument::kFormat)
    core::user_error("{} is not what `allreco evaluate` writes", where);
  if (json.value("format_version", core::Json()) != EvaluationDocument::kVersion)
    core::user_error("{} is of version {}, this program reads version {}: evaluate again", where,
                     json.value("format_version", core::Json()).dump(), EvaluationDocument::kVersion);
  return core::from_json<EvaluationDocument>(json, where);
}

void warn_of_baselines(const std::string& what, const Estimates& of_model, const BaselineReports& baselines,
                       const std::string& metric, std::vector<std::string>& warnings) {
  const Estimate& model = estimate_of(of_model, metric);
  core::require(model.wilson_95.has_value(), "baselines are compared with the Wilson interval of a share");
  std::string reached;
  for (const auto& [name, baseline] : baselines) {
    if (baseline.not_applicable) continue;
    const double value = estimate_of(baseline.metrics, metric).value;
    if (value >= model.wilson_95->low)
      reached += fmt::format("{}{} {:.1f} %", reached.empty() ? "" : ", ", name, 100 * value);
  }
  if (!reached.empty())
    warnings.push_back(
        fmt::format("{}: the model's {:.1f} % is not clearly above {}", what, 100 * model.value, reached));
}

}  // namespace allreco::eval
