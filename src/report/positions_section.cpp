// Whether a model chooses by the place in the list.
#include <algorithm>
#include <cmath>

#include "report/section.h"

namespace allreco::report {

using core::html;
using core::Html;

namespace {

Table positions_table(const std::string& caption) {
  return {.id = "positions",
          .caption = caption,
          .columns = {{"data", ""},
                      {"run", "who"},
                      {"position", "place", Format::count},
                      {"right", "right one there", Format::count},
                      {"right_if_shuffled", "if shuffled", Format::number},
                      {"chosen", "chosen", Format::count},
                      {"share_chosen", "share chosen", Format::percent},
                      {"graphic", "chosen, 0 to 100 %", Format::graphic},
                      {"accuracy", "accuracy where the right one is there", Format::percent}}};
}

/// The slice of examples whose right candidate stands there.
Cell accuracy_at(const eval::EvaluationDocument& document, std::size_t position) {
  if (!document.errors || document.errors->metric != "accuracy") return {};
  for (const eval::Slice& slice : document.errors->slices)
    if (slice.property == "position_of_right_candidate" && slice.value == std::to_string(position + 1))
      return slice.metric.value;
  return {};
}

/// A row for each place.
Table positions_of(const DataGroup& group, const EvaluatedRun& one) {
  const eval::CandidateReport& report = *one.document().candidates;
  const auto* scores = core::find(report.scores, report.headline);
  Table table = positions_table("");
  if (!scores) return table;
  const auto& chosen = scores->chosen_position_histogram;
  const auto& right = report.lists.gold_position_histogram;
  const auto& expected = report.lists.gold_position_expected;
  double num_chosen = 0;
  for (const std::int64_t count : chosen) num_chosen += static_cast<double>(count);
  for (std::size_t p = 0; p < std::min({chosen.size(), right.size(), expected.size()}); ++p) {
    const double share = num_chosen > 0 ? static_cast<double>(chosen[p]) / num_chosen : 0;
    const double share_right = num_chosen > 0 ? static_cast<double>(right[p]) / num_chosen : 0;
    table.add({group.title, one.name, static_cast<std::int64_t>(p + 1), right[p], expected[p], chosen[p], share,
               interval_graphic(share, std::nullopt, 0, 1, share_right, one.color), accuracy_at(one.document(), p)});
  }
  return table;
}

/// Half the sum of differences between two distributions: 0 where they are equal.
double distance(const Table& table) {
  double sum = 0, right = 0, chosen = 0;
  const auto count = [](const Cell& c) { return static_cast<double>(std::get<std::int64_t>(c)); };
  for (const auto& row : table.rows) {
    right += count(row[3]);
    chosen += count(row[5]);
  }
  for (const auto& row : table.rows)
    if (right > 0 && chosen > 0) sum += std::abs(count(row[3]) / right - count(row[5]) / chosen);
  return sum / 2;
}

}  // namespace

Section positions_section(const std::vector<DataGroup>& groups) {
  Section section{.id = "positions", .title = "Position bias"};
  Table all = positions_table("");
  bool is_rotated = false;
  for (const DataGroup& group : groups) {
    is_rotated = is_rotated || group.dataset().control == "rotated_options";
    Table of_group = positions_table("Places of the right and of the chosen candidate: " + group.title);
    std::string moves;
    for (const EvaluatedRun& one : group.evaluations) {
      if (!one.document().candidates) continue;
      const Table table = positions_of(group, one);
      if (table.rows.empty()) continue;
      for (const auto& row : table.rows) {
        of_group.add(row);
        all.add(row);
      }
      moves += fmt::format("{}{} of {}'s choices", moves.empty() ? "" : ", ", shown_percent(distance(table)), one.name);
    }
    if (of_group.rows.empty()) continue;
    section.body += html_of(of_group);
    section.body += html(
        "<p class=\"note\">The line stands where the right candidate is. To be spread as the right ones "
        "are, {} would have to move to another place.</p>\n",
        moves);
  }
  if (all.rows.empty()) {
    section.body =
        missing("No evaluation of a model with lists of candidates was given. One is made by", kEvaluateCommand);
  } else if (!is_rotated) {
    section.body += missing(
        "Whether places decide is shown by an evaluation of the same examples with each candidate one place "
        "later, which was not given",
        std::string(kEvaluateCommand) + " --control rotated_options");
  }
  section.tables.push_back(std::move(all));
  return section;
}

}  // namespace allreco::report
