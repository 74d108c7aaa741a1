// What the data gives away before any model looks: rules that reach more than chance, facts of the lists, warnings.
#include <algorithm>
#include <array>

#include "report/section.h"

namespace allreco::report {

using core::html;
using core::Html;

namespace {

/// Rules that know nothing of what shoppers like: where they beat chance, titles, lists or histories betray the answer.
constexpr std::array kSurfaceRules{"unseen_in_train_else_popular", "shortest_title", "fewest_odd_characters",
                                   "last_item_repeat", "last_item"};

bool is_surface_rule(const std::string& name) {
  return std::find(kSurfaceRules.begin(), kSurfaceRules.end(), name) != kSurfaceRules.end();
}

Table rules_table(const std::string& caption) {
  return {.id = "surface_rules",
          .caption = caption,
          .columns = {{"data", ""},
                      {"part", "of"},
                      {"rule", "rule"},
                      {"metric", "metric"},
                      {"value", "value", Format::percent},
                      Column::interval("bootstrap_95", "bootstrap 95 %", Format::percent),
                      {"chance", "chance", Format::percent},
                      {"verdict", "verdict"}}};
}

/// Shuffled lists give a rule that knows nothing the value of chance.
template <class Reports>
void add_rules(Table& table, const std::string& data, const std::string& part, const std::string& metric,
               const Reports& baselines) {
  const auto* chance = core::find(baselines, "chance");
  const eval::Estimate* of_chance = chance ? core::find(chance->estimates(), metric) : nullptr;
  if (!of_chance) return;
  for (const auto& [name, baseline] : baselines) {
    if (!is_surface_rule(name)) continue;
    const eval::Estimate* found = baseline.not_applicable ? nullptr : core::find(baseline.estimates(), metric);
    if (!found) {
      table.add({data,
                 part,
                 name,
                 metric,
                 {},
                 {},
                 of_chance->value,
                 "not applicable: " + baseline.not_applicable.value_or("")});
      continue;
    }
    const bool is_above = found->bootstrap_95.low > of_chance->value;
    table.add({data, part, name, metric, found->value, found->bootstrap_95, of_chance->value,
               is_above ? "above chance: the data gives this away" : "about chance"},
              is_above);
  }
}

Table rules_of(const DataGroup& group) {
  Table table = rules_table("Surface rules: " + group.title);
  const auto with = [&](const auto& part_of) {
    return std::find_if(group.evaluations.begin(), group.evaluations.end(),
                        [&](const EvaluatedRun& one) { return static_cast<bool>(part_of(one.document())); });
  };
  const auto lists = with([](const eval::EvaluationDocument& d) { return d.candidates.value; });
  if (lists != group.evaluations.end())
    add_rules(table, group.title, "candidates", "accuracy", lists->document().candidates->baselines);
  const auto ranked = with([](const eval::EvaluationDocument& d) { return d.catalogue.value; });
  if (ranked != group.evaluations.end())
    add_rules(table, group.title, "catalogue", "hit_rate@10", ranked->document().catalogue->baselines);
  return table;
}

/// Leaves of what dataset.json is quoted with, such as counts/dropped/too_long.
void add_leaves(Table& table, const std::string& data, const std::string& name, const core::Json& json) {
  constexpr std::size_t kMostFacts = 500;
  if (json.is_object() && !json.empty()) {
    for (const auto& [key, value] : json.items())
      add_leaves(table, data, name.empty() ? key : fmt::format("{}/{}", name, key), value);
  } else if (table.rows.size() < kMostFacts) {
    table.add(
        {data, name,
         json.is_string() ? json.get<std::string>() : json.dump(-1, ' ', false, core::Json::error_handler_t::replace)});
  }
}

void add_list_facts(Table& table, const std::string& data, const eval::ListFacts& facts) {
  core::Json json = core::json_of(facts);
  add_leaves(table, data, "lists", json);
}

/// What the evaluation quotes of dataset.json, without command and template, which stand in the provenance.
void add_quoted(Table& table, const std::string& data, const eval::DatasetDescription& dataset) {
  for (std::size_t i = 0; i < dataset.quoted.size(); ++i) {
    const std::string name = eval::DatasetDescription::kQuoted[i];
    if (dataset.quoted[i] && name != "command" && name != "template") add_leaves(table, data, name, *dataset.quoted[i]);
  }
}

Table facts_of(const DataGroup& group) {
  Table table{.id = "data_facts",
              .caption = "Facts of the data: " + group.title,
              .columns = {{"data", ""}, {"fact", "fact"}, {"value", "value"}}};
  add_quoted(table, group.title, group.dataset());
  for (const EvaluatedRun& one : group.evaluations) {
    if (!one.document().candidates) continue;
    add_list_facts(table, group.title, one.document().candidates->lists);
    break;
  }
  return table;
}

Html warnings_of(const DataGroup& group, Table& table) {
  Html items;
  for (const EvaluatedRun& one : group.evaluations) {
    for (const std::string& warning : one.document().warnings) {
      table.add({group.title, one.name, warning});
      if (table.rows.size() <= kMostRows) items += html("<li><b>{}</b>: {}</li>\n", one.name, warning);
    }
  }
  return items.empty() ? Html() : html("<ul class=\"warnings\">\n{}</ul>\n", items);
}

void append(Table& all, const Table& table) {
  all.columns = table.columns;
  for (std::size_t r = 0; r < table.rows.size(); ++r) all.add(table.rows[r], table.is_marked[r]);
}

}  // namespace

Section data_section(const Runs& runs, const std::vector<DataGroup>& groups) {
  Section section{.id = "data", .title = "What the data gives away"};
  Table warnings{.id = "warnings", .caption = "", .columns = {{"data", ""}, {"run", ""}, {"warning", ""}}};
  Table rules = rules_table(""),
        facts{.id = "data_facts", .caption = "", .columns = {{"data", ""}, {"fact", ""}, {"value", ""}}};
  if (groups.empty())
    section.body =
        missing("No evaluation was given, which says what its data is like. One is made by", kEvaluateCommand);
  for (const DataGroup& group : groups) {
    const Table of_group = rules_of(group), facts_table = facts_of(group);
    if (!of_group.rows.empty()) section.body += html_of(of_group);
    section.body += warnings_of(group, warnings);
    section.body += html("<details><summary>What was kept, dropped and counted: {}</summary>\n{}</details>\n",
                         group.title, html_of(facts_table));
    append(rules, of_group);
    append(facts, facts_table);
  }
  for (const std::string& note : runs.notes) warnings.add({std::string(), std::string(), note});
  section.tables = {rules, facts, warnings};
  return section;
}

}  // namespace allreco::report
