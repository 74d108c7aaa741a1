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
};

struct DataGroup {
  std::string title;  // "test of DATASET, 113 examples"
  std::vector<EvaluatedRun> evaluations;

  const eval::DatasetDescription& dataset() const { return evaluations.front().document().dataset; }
};

/// By dataset, split, control and number of examples, in the order in which they were given.
std::vector<DataGroup> data_groups(const Runs& runs);

/// What is shown of an evaluation where one number must do.
struct Headline {
  std::string metric;  // accuracy, hit_rate@10 or exact_match
  std::string what;    // in words
  eval::Estimate estimate;
  std::string best_baseline;  // empty: none applies
  double best_baseline_value = 0;

  /// As evaluate's own warning decides: above all baselines with its interval's lower end.
  bool is_clearly_above() const { return best_baseline.empty() || lower_end() > best_baseline_value; }
  double lower_end() const { return estimate.wilson_95 ? estimate.wilson_95->low : estimate.bootstrap_95.low; }
};
/// Each that the evaluation has: candidates, the whole catalogue, generated answers.
std::vector<Headline> headlines_of(const eval::EvaluationDocument& document);

}  // namespace allreco::report
