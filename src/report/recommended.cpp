#include "report/recommended.h"

namespace allreco::report {

namespace {

void add(Table& table, const DataGroup& group, const std::string& name, const eval::CatalogueMetrics& values,
         bool is_model) {
  const eval::RecommendedReport& report = values.recommended;
  table.add({group.title, name, values.mean_rank, report.num_different_items, report.coverage,
             report.share_not_in_history, cell(report.share_unseen_in_train), cell(report.mean_train_purchases)},
            is_model);
}

std::string score_name(const EvaluatedRun& one, const std::string& score, std::size_t num_scores) {
  return num_scores > 1 ? fmt::format("{}, {}", one.name, score) : one.name;
}

}  // namespace

Table recommended_table(const std::vector<DataGroup>& groups) {
  Table table{.id = "recommended",
              .caption = "What is recommended: the ten best items of all examples",
              .columns = {{"data", "data"},
                          {"name", "who"},
                          {"mean_rank", "mean rank of the bought item", Format::number},
                          {"num_different_items", "different items", Format::count},
                          {"coverage", "of the catalogue", Format::percent},
                          {"share_not_in_history", "not in the history", Format::percent},
                          {"share_unseen_in_train", "never bought in train", Format::percent},
                          {"mean_train_purchases", "purchases in train", Format::number}}};
  for (const DataGroup& group : groups) {
    const eval::CatalogueReport* first = nullptr;
    for (const EvaluatedRun& one : group.evaluations) {
      if (!one.document().catalogue) continue;
      const eval::CatalogueReport& report = *one.document().catalogue;
      if (!first) first = &report;
      for (const auto& [score, values] : report.scores)
        add(table, group, score_name(one, score, report.scores.size()), values.values, true);
    }
    if (!first) continue;
    for (const auto& [name, baseline] : first->baselines)
      if (!baseline.not_applicable) add(table, group, name, baseline.values, false);
  }
  return table;
}

Table auc_table(const std::vector<DataGroup>& groups) {
  Table table{.id = "auc",
              .caption = "AUC",
              .columns = {{"data", "data"},
                          {"name", "who"},
                          {"of", "of"},
                          {"auc_per_user", "mean within users", Format::number},
                          {"auc_pooled", "across all examples", Format::number}}};
  for (const DataGroup& group : groups) {
    for (const EvaluatedRun& one : group.evaluations) {
      if (!one.document().candidates) continue;
      const eval::CandidateReport& report = *one.document().candidates;
      for (const auto& [score, values] : report.scores)
        table.add({group.title, one.name, score, values.auc_per_user, values.auc_pooled});
      if (report.yes_no)
        table.add({group.title, one.name, fmt::format("{} or {}, first token", report.yes_no->yes, report.yes_no->no),
                   cell(report.yes_no->auc_per_user), cell(report.yes_no->auc_pooled)});
    }
  }
  return table;
}

}  // namespace allreco::report
