#include "report/runs.h"

#include <algorithm>
#include <map>
#include <set>

#include "core/check.h"
#include "eval/evaluate.h"

namespace allreco::report {
namespace fs = std::filesystem;

namespace {

void require_useful(const std::vector<fs::path>& directories) {
  if (directories.empty() || directories.size() > kMostDirectories)
    core::user_error("a report is of 1 to {} directories, found {}", kMostDirectories, directories.size());
  std::set<fs::path> seen;
  for (const fs::path& directory : directories) {
    if (!fs::is_directory(directory))
      core::user_error("{} is not a directory: give the output_dir of `allreco train` or of `allreco evaluate`",
                       directory.string());
    if (!is_training(directory) && !is_evaluation(directory))
      core::user_error(
          "{} holds neither a training (metrics.jsonl, train_results.json) nor an evaluation (evaluation.json): give "
          "the output_dir of `allreco train` or of `allreco evaluate`",
          directory.string());
    if (!seen.insert(fs::canonical(directory)).second) core::user_error("{} is given twice", directory.string());
  }
}

/// Why the evaluation is not of what the training made; empty: it is. What no checkpoint says of the base is taken from
/// the evaluation: then the adapter's fingerprint alone decides.
std::string why_not(const Evaluated& evaluated, const Training& training) {
  if (!evaluated.has_model()) return "it is of baselines alone";
  if (training.adapter_fingerprint.empty()) return "the training has no adapter yet";
  const eval::ModelDescription& model = *evaluated.document.model;
  const auto known = [](const std::string& of_training, const std::string& of_evaluation) {
    return of_training.empty() ? of_evaluation : of_training;
  };
  return eval::why_not_of(evaluated.json, {known(training.base_fingerprint, model.model_fingerprint),
                                           known(training.base_storage, model.storage), training.adapter_fingerprint});
}

/// Evaluations of one model stand together.
std::string model_key(const Evaluated& evaluated) {
  if (!evaluated.has_model()) return "baselines of " + evaluated.document.dataset.fingerprint;
  const eval::ModelDescription& model = *evaluated.document.model;
  return model.model_fingerprint + " " + model.storage + " " + evaluated.adapter_fingerprint();
}

struct Builder {
  Runs result;
  std::map<std::string, std::size_t> run_of_model = {};

  void add_training(Training training, const std::string& label, std::size_t place) {
    Run run{.label = label, .base_parameters = training.base_parameters, .notes = training.notes, .place = place};
    run.training = std::move(training);
    result.runs.push_back(std::move(run));
  }
  void add_evaluation(Evaluated evaluated, const std::string& label, std::size_t place) {
    for (Run& run : result.runs) {
      if (!run.training) continue;
      const std::string reason = why_not(evaluated, *run.training);
      if (reason.empty()) return attach(run, std::move(evaluated));
      if (run.training->directory == evaluated.directory)
        result.notes.push_back(fmt::format("{}/evaluation.json is not taken as one of the run beside it: {}",
                                           evaluated.directory.string(), reason));
    }
    const auto [found, is_new] = run_of_model.emplace(model_key(evaluated), result.runs.size());
    if (is_new) {
      Run run{.label = label, .place = place};
      if (evaluated.has_model())
        run.base_parameters = parameters_of(evaluated.document.model->model_name_or_path, run.notes);
      result.runs.push_back(std::move(run));
    }
    attach(result.runs[found->second], std::move(evaluated));
  }
  static void attach(Run& run, Evaluated evaluated) {
    run.notes.insert(run.notes.end(), evaluated.notes.begin(), evaluated.notes.end());
    run.evaluations.push_back(std::move(evaluated));
  }
};

std::string last_parts(const fs::path& path, std::size_t count) {
  std::vector<std::string> parts;
  for (const fs::path& part : fs::weakly_canonical(path))
    if (!part.empty()) parts.push_back(part.string());
  std::string name;
  for (std::size_t i = parts.size() - std::min(count, parts.size()); i < parts.size(); ++i)
    name += (name.empty() || name == "/" ? "" : "/") + parts[i];
  return name;
}

/// A label names one run: the evaluation of another model may lie in a training's own directory.
void make_different(std::vector<Run>& runs) {
  std::map<std::string, int> count;
  for (Run& run : runs)
    if (const int before = count[run.label]++; before > 0) run.label += fmt::format(" ({})", before + 1);
}

}  // namespace

std::int64_t Runs::num_trainings() const {
  return std::count_if(runs.begin(), runs.end(), [](const Run& run) { return run.training.has_value(); });
}

std::vector<std::string> labels_of(const std::vector<fs::path>& directories) {
  constexpr std::size_t kDeepest = 64;
  std::vector<std::string> labels;
  for (std::size_t count = 1; count <= kDeepest; ++count) {
    labels.clear();
    for (const fs::path& directory : directories) labels.push_back(last_parts(directory, count));
    if (std::set<std::string>(labels.begin(), labels.end()).size() == labels.size()) break;
  }
  return labels;
}

Runs read_runs(const std::vector<fs::path>& directories, const ParseOptions& parse_options) {
  require_useful(directories);
  const std::vector<std::string> labels = labels_of(directories);
  Builder builder;
  for (std::size_t i = 0; i < directories.size(); ++i)
    if (is_training(directories[i])) builder.add_training(read_training(directories[i], parse_options), labels[i], i);
  for (std::size_t i = 0; i < directories.size(); ++i)
    if (is_evaluation(directories[i])) builder.add_evaluation(read_evaluated(directories[i]), labels[i], i);
  std::stable_sort(builder.result.runs.begin(), builder.result.runs.end(),
                   [](const Run& a, const Run& b) { return a.place < b.place; });
  make_different(builder.result.runs);
  return std::move(builder.result);
}

}  // namespace allreco::report
