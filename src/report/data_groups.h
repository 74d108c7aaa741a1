// Evaluations of the same examples: only these are shown side by side.
#pragma once
#include <string>
#include <vector>

#include "report/runs.h"

namespace allreco::report {

/// One evaluation of one run. Points into the Runs, which must outlive it.
struct EvaluatedRun {
  std::string name;  // the run's label, and where that is not enough the evaluation's directory
  std::size_t color = 0;
  const Run* run = nullptr;
  const Evaluated* evaluated = nullptr;

  const eval::EvaluationDocument& document() const { return evaluated->document; }
  /// What the model's rows are called; empty: baselines alone.
  bool has_model() const { return evaluated->has_model(); }
  /// Of one of its scores; `num_scores`: how many there are.
  std::string scorer_name(const std::string& score, std::size_t num_scores) const {
    return num_scores > 1 ? name + ", " + score : name;
  }
};

struct DataGroup {
  std::string title;  // "test of DATASET, 113 examples"
  std::vector<EvaluatedRun> evaluations;

  const eval::DatasetDescription& dataset() const { return evaluations.front().document().dataset; }
};

/// By dataset, split, control and number of examples, in the order in which they were given.
std::vector<DataGroup> data_groups(const Runs& runs);

/// Evaluations of one group whose figures of the whole catalogue compare (eval::same_catalogue_task).
struct CatalogueGroup {
  std::string task;                              // eval::catalogue_task_text
  std::vector<const EvaluatedRun*> evaluations;  // of the DataGroup, which must outlive it

  const eval::CatalogueReport& report() const { return *evaluations.front()->document().catalogue; }
};
std::vector<CatalogueGroup> catalogue_groups(const DataGroup& group);

/// Whether two evaluations found the same of a baseline, to rounding.
bool same_values(const eval::Estimates& a, const eval::Estimates& b);

/// The baselines of several evaluations of one task: each once. Two of one name that differ, as the bases of two models
/// do, also say whose they are.
template <class Report>
struct MergedBaselines {
  struct Baseline {
    std::string name, shown_name;
    const Report* report;
  };
  std::vector<Baseline> all;

  void add(const EvaluatedRun& one, const core::Named<Report>& baselines) {
    for (const auto& [name, report] : baselines) {
      bool has_name = false, is_known = false;
      for (const Baseline& known : all) {
        if (known.name != name) continue;
        has_name = true;
        is_known = is_known || same_values(known.report->estimates(), report.estimates());
      }
      if (!is_known) all.push_back({name, has_name ? name + " of " + one.name : name, &report});
    }
  }
};

/// What is shown of an evaluation where one number must do.
struct Headline {
  std::string metric;  // accuracy, hit_rate@10 or exact_match
  std::string what;    // in words
  eval::Estimate estimate;
  std::string ranking = {};        // eval::catalogue_task_text, of the catalogue's metric alone
  std::string best_baseline = {};  // empty: none applies
  double best_baseline_value = 0;

  /// As evaluate's own warning decides: above all baselines with its interval's lower end.
  bool is_clearly_above() const { return best_baseline.empty() || lower_end() > best_baseline_value; }
  double lower_end() const { return estimate.shown_interval().low; }
};
/// Each that the evaluation has: candidates, the whole catalogue, generated answers.
std::vector<Headline> headlines_of(const eval::EvaluationDocument& document);

}  // namespace allreco::report
