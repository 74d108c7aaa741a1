#include "report/recommended.h"

namespace allreco::report {

namespace {

struct RowPlace {
  const DataGroup& group;
  const CatalogueGroup& of;
};

void add(Table& table, const RowPlace& place, const std::string& name, const eval::CatalogueMetrics& values,
         bool is_model) {
  const eval::RecommendedReport& report = values.recommended;
  table.add({place.group.title, place.of.task, name, values.mean_rank, report.num_different_items, report.coverage,
             report.share_not_in_history, cell(report.share_unseen_in_train), cell(report.mean_train_purchases)},
            is_model);
}

void add_recommended(Table& table, const RowPlace& place) {
  MergedBaselines<eval::CatalogueBaselineReport> baselines;
  for (const EvaluatedRun* one : place.of.evaluations) {
    const eval::CatalogueReport& report = *one->document().catalogue;
    for (const auto& [score, values] : report.scores)
      add(table, place, one->scorer_name(score, report.scores.size()), values.values, true);
    baselines.add(*one, report.baselines);
  }
  for (const auto& baseline : baselines.all)
    if (!baseline.report->not_applicable) add(table, place, baseline.shown_name, baseline.report->values, false);
}

}  // namespace

Table recommended_table(const std::vector<DataGroup>& groups) {
  Table table{.id = "recommended",
              .caption = "What is recommended: the ten best items of all examples",
              .columns = {{"data", "data"},
                          {"ranking", "ranking"},
                          {"name", "who"},
                          {"mean_rank", "mean rank of the bought item", Format::number},
                          {"num_different_items", "different items", Format::count},
                          {"coverage", "of the catalogue", Format::percent},
                          {"share_not_in_history", "not in the history", Format::percent},
                          {"share_unseen_in_train", "never bought in train", Format::percent},
                          {"mean_train_purchases", "purchases in train", Format::number}}};
  for (const DataGroup& group : groups)
    for (const CatalogueGroup& of : catalogue_groups(group)) add_recommended(table, {group, of});
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
        table.add({group.title, one.name,
                   fmt::format("{} or {}, first differing token", report.yes_no->yes, report.yes_no->no),
                   cell(report.yes_no->auc_per_user), cell(report.yes_no->auc_pooled)});
    }
  }
  return table;
}

}  // namespace allreco::report
