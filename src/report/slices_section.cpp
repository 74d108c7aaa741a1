// Where a model errs: slices by cost, kinds of errors, confused titles.
#include <algorithm>

#include "report/section.h"

namespace allreco::report {

using core::html;
using core::Html;

namespace {

constexpr std::size_t kMostSlices = 15;

Table slices_table(const std::string& caption) {
  return {.id = "slices",
          .caption = caption,
          .columns = {{"data", ""},
                      {"run", ""},
                      {"property", "property"},
                      {"value", "value"},
                      {"num_examples", "examples", Format::count},
                      {"metric", ""},
                      {"estimate", "metric", Format::percent},
                      Column::interval("wilson_95", "Wilson 95 %", Format::percent),
                      Column::interval("bootstrap_95", "bootstrap 95 %", Format::percent),
                      {"graphic", "0 to 100 %", Format::graphic},
                      {"cost", "cost in points", Format::points}}};
}

void add_slice(Table& table, const DataGroup& group, const EvaluatedRun& one, const eval::ErrorAnalysis& errors,
               const eval::Slice& slice) {
  table.add({group.title, one.name, slice.property, slice.value, slice.num_examples, errors.metric, slice.metric.value,
             cell(slice.metric.wilson_95), slice.metric.bootstrap_95,
             interval_graphic(slice.metric.value, slice.metric.shown_interval(), 0, 1, std::nullopt, one.color),
             slice.cost});
}

Html generation_errors(const DataGroup& group, const EvaluatedRun& one, Table& table) {
  const auto& generation = one.document().generation;
  if (!generation || !generation->errors) return Html();
  const core::Json kinds = core::json_of(*generation->errors);
  Table shown_table{
      .id = "", .caption = fmt::format("Wrong generated answers of {}, by kind", one.name), .columns = table.columns};
  for (const auto& [kind, count] : kinds.items()) {
    std::vector<Cell> row{group.title, one.name, kind, count.get<std::int64_t>(),
                          static_cast<double>(count.get<std::int64_t>()) /
                              static_cast<double>(std::max<std::int64_t>(1, generation->num_examples))};
    shown_table.add(row);
    table.add(std::move(row));
  }
  return html_of(shown_table);
}

Html confusions(const DataGroup& group, const EvaluatedRun& one, const eval::ErrorAnalysis& errors, Table& table) {
  if (errors.confusions.empty()) return Html();
  Table shown_table{
      .id = "", .caption = fmt::format("Titles that {} confuses most often", one.name), .columns = table.columns};
  for (const eval::Confusion& confusion : errors.confusions) {
    std::vector<Cell> row{group.title, one.name, confusion.count, confusion.right, confusion.chosen};
    if (shown_table.rows.size() < kMostSlices) shown_table.add(row);
    table.add(std::move(row));
  }
  return html("<details><summary>{} pairs of titles that {} confuses</summary>\n{}</details>\n",
              errors.confusions.size(), one.name, html_of(shown_table));
}

Html slices_of(const DataGroup& group, const EvaluatedRun& one, const eval::ErrorAnalysis& errors, Table& table) {
  Table shown_table = slices_table(fmt::format("Where {} loses {}: {}", one.name, errors.metric, group.title));
  for (const eval::Slice& slice : errors.slices) {
    if (shown_table.rows.size() < kMostSlices) add_slice(shown_table, group, one, errors, slice);
    add_slice(table, group, one, errors, slice);
  }
  Html out = html_of(shown_table);
  if (errors.slices.size() > kMostSlices)
    out += html("<p class=\"note\">The {} costliest of {} slices; all are in the csv file.</p>\n", kMostSlices,
                errors.slices.size());
  return out;
}

bool has_errors(const std::vector<DataGroup>& groups) {
  for (const DataGroup& group : groups)
    for (const EvaluatedRun& one : group.evaluations)
      if (one.document().errors) return true;
  return false;
}

}  // namespace

Section slices_section(const std::vector<DataGroup>& groups) {
  Section section{.id = "slices", .title = "Where accuracy is lost"};
  Table slices = slices_table("Slices");
  Table kinds{.id = "generation_errors",
              .caption = "",
              .columns = {{"data", ""},
                          {"run", ""},
                          {"kind", "kind"},
                          {"count", "answers", Format::count},
                          {"share", "of all answers", Format::percent}}};
  Table pairs{.id = "confusions",
              .caption = "",
              .columns = {{"data", ""},
                          {"run", ""},
                          {"count", "times", Format::count},
                          {"right", "right title"},
                          {"chosen", "chosen title"}}};
  if (!has_errors(groups)) {
    section.body = missing("No evaluation with an analysis of errors was given. One is made by", kEvaluateCommand);
  } else {
    section.body = html(
        "<p>A slice holds the examples with one property. Its cost is what all examples would gain were it like the "
        "others, in points; slices overlap, so costs do not add up.</p>\n");
  }
  for (const DataGroup& group : groups) {
    for (const EvaluatedRun& one : group.evaluations) {
      if (one.document().errors) section.body += slices_of(group, one, *one.document().errors, slices);
      section.body += generation_errors(group, one, kinds);
      if (one.document().errors) section.body += confusions(group, one, *one.document().errors, pairs);
    }
  }
  section.tables = {slices, kinds, pairs};
  return section;
}

}  // namespace allreco::report
