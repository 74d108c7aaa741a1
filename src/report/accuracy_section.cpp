// Every accuracy with its intervals, and all baselines beside it.
#include <algorithm>
#include <limits>

#include "report/recommended.h"
#include "report/section.h"

namespace allreco::report {

using core::html;
using core::Html;

namespace {

/// A scorer and what was found of it.
struct Scorer {
  bool is_model() const { return color != kReferenceColor; }

  std::string name, description;
  std::size_t color = kReferenceColor;         // a run's, of models
  const eval::Estimates* estimates = nullptr;  // null: not applicable, which the description then says
};

/// The scorers of one part of a document (candidates, catalogue, generation) whose figures compare.
struct PartScorers {
  std::string label() const { return task.empty() ? part : fmt::format("{} ({})", part, task); }

  std::string part, title, metric, facts;
  std::string task = {};             // of the catalogue: how it was ranked
  std::vector<Scorer> scorers = {};  // models first
};

template <class Report>
void add_baselines(PartScorers& part, const MergedBaselines<Report>& baselines) {
  for (const auto& [name, shown_name, report] : baselines.all)
    part.scorers.push_back({shown_name,
                            report->not_applicable ? "not applicable: " + *report->not_applicable : report->description,
                            kReferenceColor, report->not_applicable ? nullptr : &report->estimates()});
}

PartScorers candidate_scorers(const DataGroup& group) {
  PartScorers part{"candidates", "Accuracy among candidates", "accuracy", ""};
  const eval::CandidateReport* first = nullptr;
  MergedBaselines<eval::BaselineReport> baselines;
  for (const EvaluatedRun& one : group.evaluations) {
    if (!one.document().candidates) continue;
    const eval::CandidateReport& report = *one.document().candidates;
    if (!first) first = &report;
    for (const auto& [score, values] : report.scores)
      part.scorers.push_back(
          {one.scorer_name(score, report.scores.size()), values.formula, one.color, &values.metrics});
    baselines.add(one, report.baselines);
  }
  if (!first) return part;
  add_baselines(part, baselines);
  part.facts = fmt::format("{} examples of {:.3g} candidates on average; negatives: {}; ties count by expectation",
                           shown_count(first->lists.num_examples), first->lists.num_candidates.mean, first->negatives);
  return part;
}

PartScorers catalogue_scorers(const CatalogueGroup& group) {
  PartScorers part{"catalogue", fmt::format("Hit rate at 10 in the whole catalogue ({})", group.task), "hit_rate@10",
                   "", group.task};
  MergedBaselines<eval::CatalogueBaselineReport> baselines;
  for (const EvaluatedRun* one : group.evaluations) {
    const eval::CatalogueReport& report = *one->document().catalogue;
    for (const auto& [score, values] : report.scores)
      part.scorers.push_back(
          {one->scorer_name(score, report.scores.size()), values.formula, one->color, &values.values.metrics});
    baselines.add(*one, report.baselines);
  }
  add_baselines(part, baselines);
  part.facts = fmt::format("{} examples, {} items, ranking {}", shown_count(group.report().num_examples),
                           shown_count(group.report().num_items), group.task);
  return part;
}

PartScorers generation_scorers(const DataGroup& group) {
  PartScorers part{"generation", "Exact match of generated answers", "exact_match", ""};
  MergedBaselines<eval::BaselineReport> baselines;
  for (const EvaluatedRun& one : group.evaluations) {
    if (!one.document().generation) continue;
    const eval::GenerationReport& report = *one.document().generation;
    part.scorers.push_back({one.name, report.decoding, one.color, &report.metrics});
    part.facts += fmt::format("{}{}: {} of {} answers unfinished, {} empty", part.facts.empty() ? "" : "; ", one.name,
                              report.num_unfinished, report.num_examples, report.num_empty);
    baselines.add(one, report.baselines);
  }
  add_baselines(part, baselines);
  return part;
}

std::vector<PartScorers> parts_of(const DataGroup& group) {
  std::vector<PartScorers> parts{candidate_scorers(group)};
  for (const CatalogueGroup& of : catalogue_groups(group)) parts.push_back(catalogue_scorers(of));
  parts.push_back(generation_scorers(group));
  std::erase_if(parts, [](const PartScorers& part) { return part.scorers.empty(); });
  return parts;
}

double highest_end(const PartScorers& part) {
  double highest = 0;
  for (const Scorer& scorer : part.scorers) {
    const eval::Estimate* found = scorer.estimates ? core::find(*scorer.estimates, part.metric) : nullptr;
    if (!found) continue;
    highest =
        std::max({highest, found->value, found->bootstrap_95.high, found->wilson_95 ? found->wilson_95->high : 0});
  }
  return highest > 0 ? highest : 1;
}

/// Models as they come, then baselines, the best first.
std::vector<Scorer> ordered(const PartScorers& part) {
  std::vector<Scorer> scorers = part.scorers;
  const auto value = [&](const Scorer& scorer) {
    const eval::Estimate* found = scorer.estimates ? core::find(*scorer.estimates, part.metric) : nullptr;
    return found ? found->value : -1;
  };
  std::stable_sort(scorers.begin(), scorers.end(), [&](const Scorer& a, const Scorer& b) {
    if (a.is_model() || b.is_model()) return a.is_model() && !b.is_model();
    return value(a) > value(b);
  });
  return scorers;
}

/// One number with both intervals, drawn on one scale. On the page alone: the files have all metrics.
Table headline_table(const PartScorers& part, const std::string& data) {
  Table table{.id = "",
              .caption = fmt::format("{}: {}", part.title, data),
              .columns = {{"name", "who"},
                          {"value", part.metric, Format::percent},
                          Column::interval("wilson", "Wilson 95 %", Format::percent),
                          Column::interval("bootstrap", "bootstrap 95 %", Format::percent),
                          {"graphic", fmt::format("0 to {}", shown_percent(highest_end(part))), Format::graphic},
                          {"what", "what it is"}}};
  const double high = highest_end(part);
  std::optional<double> reference;  // the best baseline
  for (const Scorer& scorer : part.scorers) {
    const eval::Estimate* found =
        scorer.estimates && !scorer.is_model() ? core::find(*scorer.estimates, part.metric) : nullptr;
    if (found) reference = std::max(reference.value_or(0), found->value);
  }
  for (const Scorer& scorer : ordered(part)) {
    const eval::Estimate* found = scorer.estimates ? core::find(*scorer.estimates, part.metric) : nullptr;
    if (!found) {
      if (!scorer.is_model()) table.add({scorer.name, Cell(), Cell(), Cell(), Cell(), scorer.description});
      continue;
    }
    table.add(
        {scorer.name, found->value, cell(found->wilson_95), found->bootstrap_95,
         interval_graphic(found->value, found->shown_interval(), 0, high, reference, scorer.color), scorer.description},
        scorer.is_model());
  }
  return table;
}

/// The other metrics, a column each.
Table other_table(const PartScorers& part, const std::string& data) {
  Table table{.id = "", .caption = fmt::format("Other metrics: {}", data), .columns = {{"name", "who"}}};
  std::vector<std::string> metrics;
  for (const Scorer& scorer : part.scorers)
    if (scorer.estimates)
      for (const auto& [metric, estimate] : *scorer.estimates)
        if (metric != part.metric && std::find(metrics.begin(), metrics.end(), metric) == metrics.end())
          metrics.push_back(metric);
  for (const std::string& metric : metrics) table.columns.push_back({metric, metric, Format::number});
  for (const Scorer& scorer : part.scorers) {
    if (!scorer.estimates) continue;
    std::vector<Cell> row(1, scorer.name);
    for (const std::string& metric : metrics) {
      const eval::Estimate* found = core::find(*scorer.estimates, metric);
      row.emplace_back();
      if (found) row.back() = found->value;
    }
    table.add(std::move(row), scorer.is_model());
  }
  if (metrics.empty()) table.rows.clear();
  return table;
}

Table accuracy_table() {
  return {.id = "accuracy",
          .caption = "Accuracy",
          .columns = {{"data", "data"},
                      {"part", "part"},
                      {"kind", "kind"},
                      {"name", "name"},
                      {"metric", "metric"},
                      {"value", "value", Format::number},
                      Column::interval("wilson_95", "Wilson 95 %", Format::number),
                      Column::interval("bootstrap_95", "bootstrap 95 %", Format::number),
                      {"description", "what it is"},
                      {"ranking", "ranking of the catalogue"}}};
}

void add_rows(Table& table, const std::string& data, const PartScorers& part) {
  for (const Scorer& scorer : part.scorers) {
    const std::string kind = scorer.is_model() ? "model" : "baseline";
    const Cell ranking = part.task.empty() ? Cell() : Cell(part.task);
    if (!scorer.estimates) {
      table.add({data, part.part, kind, scorer.name, Cell(), Cell(), Cell(), Cell(), scorer.description, ranking});
      continue;
    }
    for (const auto& [metric, estimate] : *scorer.estimates)
      table.add({data, part.part, kind, scorer.name, metric, estimate.value, cell(estimate.wilson_95),
                 estimate.bootstrap_95, scorer.description, ranking});
  }
}

/// The share of examples up to each rank, as far as the search goes.
Series hit_rate_series(const EvaluatedRun& one) {
  std::vector<double> ranks = one.evaluated->catalogue_ranks;
  std::sort(ranks.begin(), ranks.end());
  const std::int64_t num_beams = one.document().catalogue->num_beams;
  const double last = num_beams > 0 ? static_cast<double>(num_beams) : std::numeric_limits<double>::infinity();
  Series series{.name = one.name, .color = one.color};
  for (std::size_t i = 0; i < ranks.size() && ranks[i] <= last; ++i)
    if (i + 1 == ranks.size() || ranks[i + 1] != ranks[i])
      series.points.push_back(
          {.x = std::max(1.0, ranks[i]), .y = static_cast<double>(i + 1) / static_cast<double>(ranks.size())});
  return series;
}

/// How often the bought item is among the first k of the catalogue.
Html hit_rate_chart(const DataGroup& group, const CatalogueGroup& of) {
  std::vector<Series> all;
  for (const EvaluatedRun* one : of.evaluations) {
    Series series = hit_rate_series(*one);
    if (!series.points.empty()) all.push_back(std::move(series));
  }
  if (all.empty()) return Html();
  Axis x = Axis::logarithmic("k", xs_of(all));
  return html("<div class=\"charts\">\n{}</div>\n",
              html_of(Chart{"Share of examples whose item is among the first k",
                            fmt::format("{}; {}; ties at the middle of their ranks", group.title, of.task),
                            std::move(x), Axis::shares("share"), std::move(all)}));
}

}  // namespace

Section accuracy_section(const std::vector<DataGroup>& groups) {
  Section section{.id = "accuracy", .title = "Accuracy beside baselines"};
  Table all = accuracy_table();
  bool has_catalogue = false;
  if (groups.empty()) section.body = missing("No evaluation was given. One is made by", kEvaluateCommand);
  for (const DataGroup& group : groups) {
    section.body += html("<h3>{}</h3>\n", group.title);
    const auto parts = parts_of(group);
    if (parts.empty())
      section.body +=
          html("<p class=\"missing\">Nothing was ranked or generated here; its loss is in the table of runs.</p>\n");
    for (const PartScorers& part : parts) {
      has_catalogue = has_catalogue || part.part == "catalogue";
      section.body += html_of(headline_table(part, group.title));
      section.body += html("<p class=\"note\">{}. The line stands at the best baseline.</p>\n", part.facts);
      const Table others = other_table(part, fmt::format("{}, {}", part.label(), group.title));
      if (!others.rows.empty())
        section.body +=
            html("<details><summary>Other metrics of {}</summary>\n{}</details>\n", part.label(), html_of(others));
      add_rows(all, group.title, part);
    }
    for (const CatalogueGroup& of : catalogue_groups(group)) section.body += hit_rate_chart(group, of);
  }
  if (!groups.empty() && !has_catalogue)
    section.body += missing("The whole catalogue was not ranked. It is with", kRankCommand);
  section.tables = {std::move(all), recommended_table(groups), auc_table(groups)};
  for (const std::size_t further : {1u, 2u}) {
    const Table& table = section.tables[further];
    if (!table.rows.empty())
      section.body += html("<details><summary>{}</summary>\n{}</details>\n", table.caption, html_of(table));
  }
  return section;
}

}  // namespace allreco::report
