// How far the probabilities that a model gives its candidates can be believed.
#include <cmath>

#include "report/section.h"

namespace allreco::report {

using core::html;
using core::Html;

namespace {

Table bins_table() {
  return {.id = "reliability",
          .caption = "Bins of the reliability diagram",
          .columns = {{"data", ""},
                      {"run", ""},
                      {"confidence_low", ""},
                      {"confidence_high", ""},
                      {"num_examples", ""},
                      {"mean_confidence", ""},
                      {"accuracy", ""},
                      Column::interval("wilson_95", "")}};
}

Table summary_table(const std::string& data) {
  return {.id = "calibration",
          .caption = "Calibration: " + data,
          .columns = {{"data", ""},
                      {"run", "who"},
                      {"score", "score"},
                      {"ece_15_equal_width_bins", "ECE, equal width", Format::number},
                      {"ece_15_equal_mass_bins", "ECE, equal mass", Format::number},
                      {"log_loss", "log loss", Format::number},
                      {"brier", "Brier", Format::number},
                      {"log_loss_of_chance", "log loss of chance", Format::number}}};
}

Series reliability_series(const EvaluatedRun& one, const std::string& data, Table& table) {
  Series series{.name = one.name, .color = one.color, .mark = Mark::points};
  const auto all = static_cast<double>(one.evaluated->claims.size());
  for (const eval::ReliabilityBin& bin : eval::reliability_bins(one.evaluated->claims)) {
    const eval::Interval interval =
        eval::wilson_interval(bin.accuracy * static_cast<double>(bin.num_examples), bin.num_examples);
    series.points.push_back({.x = bin.mean_confidence,
                             .y = bin.accuracy,
                             .y_interval = interval,
                             .text = fmt::format("{} examples: {} sure, {} right", bin.num_examples,
                                                 shown_percent(bin.mean_confidence), shown_percent(bin.accuracy)),
                             .radius = 2 + 6 * std::sqrt(static_cast<double>(bin.num_examples) / all)});
    table.add({data, one.name, bin.low, bin.high, bin.num_examples, bin.mean_confidence, bin.accuracy, interval});
  }
  return series;
}

Cell metric(const eval::CandidateScoresReport& scores, const char* name) {
  const eval::Estimate* found = core::find(scores.metrics, name);
  return found ? Cell(found->value) : Cell();
}

void add_summary(const DataGroup& group, const EvaluatedRun& one, Table& shown_table, Table& all) {
  const eval::CandidateReport& report = *one.document().candidates;
  for (const auto& [name, scores] : report.scores) {
    const auto& counts = report.lists.num_candidates;
    const Cell of_chance =
        counts.fewest == counts.most && counts.most > 0 ? Cell(std::log(static_cast<double>(counts.most))) : Cell();
    std::vector<Cell> row{group.title,
                          one.name,
                          name,
                          scores.ece_15_equal_width_bins,
                          scores.ece_15_equal_mass_bins,
                          metric(scores, "log_loss"),
                          metric(scores, "brier"),
                          of_chance};
    shown_table.add(row);
    all.add(std::move(row));
  }
}

Html chart_of(const DataGroup& group, std::vector<Series> series) {
  if (series.empty()) return Html();
  return html(
      "<div class=\"charts\">\n{}</div>\n",
      html_of(Chart{.title = "Reliability",
                    .note = group.title +
                            "; area: share of the examples; whiskers: Wilson 95 %; on the dashed line a model is "
                            "right as often as it says",
                    .x = Axis::shares("probability of the chosen candidate"),
                    .y = Axis::shares("share that is right"),
                    .series = std::move(series),
                    .has_diagonal = true}));
}

}  // namespace

Section calibration_section(const std::vector<DataGroup>& groups) {
  Section section{.id = "calibration", .title = "Calibration"};
  Table bins = bins_table(), all = summary_table("");
  for (const DataGroup& group : groups) {
    std::vector<Series> series;
    Table shown_table = summary_table(group.title);
    for (const EvaluatedRun& one : group.evaluations) {
      if (!one.document().candidates || one.document().candidates->scores.empty()) continue;
      add_summary(group, one, shown_table, all);
      if (!one.evaluated->claims.empty()) series.push_back(reliability_series(one, group.title, bins));
    }
    if (shown_table.rows.empty()) continue;
    section.body += chart_of(group, std::move(series));
    section.body += html_of(shown_table);
  }
  if (all.rows.empty())
    section.body = missing(
        "No evaluation of a model with lists of candidates was given, whose probabilities could be compared. "
        "One is made by",
        kEvaluateCommand);
  section.tables = {all, bins};
  return section;
}

}  // namespace allreco::report
