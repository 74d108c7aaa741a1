// Sections of runs that are made here: what stands side by side, and what a section says in place of data.
#include <gtest/gtest.h>

#include <set>

#include "report/recommended.h"
#include "report/section.h"

namespace allreco::report {
namespace {

eval::Estimates hit_rate(double value) {
  return {{"hit_rate@10", {value, {value - 0.05, value + 0.05}, eval::Interval{value - 0.06, value + 0.06}}}};
}

/// Of a model with `found` and popularity with a quarter.
Evaluated ranked(const std::string& ranking, std::int64_t num_beams, const std::string& history_items, double found) {
  Evaluated evaluated;
  evaluated.document.model.value.emplace().adapter_fingerprint = "a";
  evaluated.document.dataset = {.fingerprint = "d", .split = "test"};
  eval::CatalogueReport& report = evaluated.document.catalogue.value.emplace();
  report.ranking = ranking;
  report.num_beams = num_beams;
  report.history_items = history_items;
  report.baselines = {{"popularity", {"", {}, {.metrics = hit_rate(0.25)}}}};
  if (ranking == "none") return evaluated;
  report.headline = "log_likelihood";
  report.scores = {{"log_likelihood", {"", {.metrics = hit_rate(found)}}}};
  return evaluated;
}

Run run_of(const std::string& label, Evaluated evaluated) {
  Run run{.label = label, .base_parameters = 1000 * (label[0] - 'A' + 1)};
  run.evaluations.push_back(std::move(evaluated));
  return run;
}

Runs five_runs() {
  Runs runs;
  runs.runs.push_back(run_of("A", ranked("exhaustive", 0, "rank", 0.51)));
  runs.runs.push_back(run_of("B", ranked("exhaustive", 0, "rank", 0.52)));
  runs.runs.push_back(run_of("C", ranked("beam", 20, "rank", 0.53)));
  runs.runs.push_back(run_of("D", ranked("exhaustive", 0, "exclude", 0.54)));
  runs.runs.push_back(run_of("E", ranked("none", 0, "rank", 0)));
  return runs;
}

std::size_t column(const Table& table, const std::string& key) {
  for (std::size_t c = 0; c < table.columns.size(); ++c)
    if (table.columns[c].key == key) return c;
  ADD_FAILURE() << "no column " << key;
  return 0;
}

/// "NAME RANKING" of each row that has a ranking.
std::multiset<std::string> named_rows(const Table& table, const std::string& name = "name") {
  std::multiset<std::string> rows;
  for (const auto& row : table.rows)
    if (const auto* ranking = std::get_if<std::string>(&row[column(table, "ranking")]))
      rows.insert(std::get<std::string>(row[column(table, name)]) + " " + *ranking);
  return rows;
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

constexpr const char* kWhole = " exhaustive; items of the history are ranked, too";
constexpr const char* kBeam = " beam of 20; items of the history are ranked, too";
constexpr const char* kWithout = " exhaustive; items of the history are left out";

TEST(CatalogueGroups, AreOfOneRuleOneRankingAndOneDepth) {
  const Runs runs = five_runs();
  const auto groups = data_groups(runs);
  ASSERT_EQ(groups.size(), 1u);
  std::vector<std::string> found;
  for (const CatalogueGroup& group : catalogue_groups(groups[0])) {
    found.emplace_back();
    for (const EvaluatedRun* one : group.evaluations) found.back() += one->name;
  }
  EXPECT_EQ(found, (std::vector<std::string>{"ABE", "C", "D"}));  // baselines alone are ranked whole
}

TEST(CatalogueGroups, HaveTablesOfTheirOwn) {
  const Runs runs = five_runs();
  const auto groups = data_groups(runs);
  const auto with = [](const std::string& name, const char* ranking) { return name + ranking; };
  const std::multiset<std::string> expected{
      with("A", kWhole),         with("B", kWhole),   with("popularity", kWhole),  with("C", kBeam),
      with("popularity", kBeam), with("D", kWithout), with("popularity", kWithout)};
  const Section section = accuracy_section(groups);
  EXPECT_EQ(named_rows(section.tables[0]), expected);
  EXPECT_EQ(named_rows(recommended_table(groups)), expected);
  for (const char* task : {kWhole, kBeam, kWithout})
    EXPECT_EQ(
        count_of(section.body.code(), fmt::format("<caption>Hit rate at 10 in the whole catalogue ({})", task + 1)), 1u)
        << task;
}

TEST(CatalogueGroups, HaveChartsOfTheirOwn) {
  Runs runs = five_runs();
  const Section section = comparison_section(runs, data_groups(runs), 0);
  const std::string page = section.body.code();
  EXPECT_EQ(count_of(page, "<figure"), 1u);  // a lone point is no comparison
  const std::string chart = page.substr(0, page.find("<table>"));
  EXPECT_NE(chart.find("A: 51.0 %"), std::string::npos) << chart;
  EXPECT_NE(chart.find("B: 52.0 %"), std::string::npos) << chart;
  EXPECT_EQ(chart.find("C: 53.0 %"), std::string::npos) << chart;
  EXPECT_EQ(chart.find("D: 54.0 %"), std::string::npos) << chart;
  EXPECT_EQ(named_rows(section.tables[0], "run"),
            (std::multiset<std::string>{std::string("A") + kWhole, std::string("B") + kWhole, std::string("C") + kBeam,
                                        std::string("D") + kWithout}));
}

// Popularity is the data's; the model without its adapter is another with another base.
TEST(CatalogueGroups, ShowTheBaselinesOfAllOfThem) {
  Runs runs;
  for (const double of_base : {0.3, 0.4}) {
    Evaluated evaluated = ranked("exhaustive", 0, "rank", 0.5);
    evaluated.document.catalogue.value->baselines.emplace_back(
        "base_model", eval::CatalogueBaselineReport{"", {}, {.metrics = hit_rate(of_base)}});
    runs.runs.push_back(run_of(of_base == 0.3 ? "A" : "B", std::move(evaluated)));
  }
  EXPECT_EQ(named_rows(recommended_table(data_groups(runs))),
            (std::multiset<std::string>{std::string("A") + kWhole, std::string("B") + kWhole,
                                        std::string("base_model") + kWhole, std::string("base_model of B") + kWhole,
                                        std::string("popularity") + kWhole}));
}

// Behind the beams all items are tied: their middle is no rank of the search.
TEST(CatalogueGroups, TheCurveOfRanksEndsWithTheBeams) {
  Runs runs;
  Evaluated evaluated = ranked("beam", 20, "rank", 0.5);
  evaluated.catalogue_ranks = {1, 20, 510.5, 510.5};
  runs.runs.push_back(run_of("A", std::move(evaluated)));
  const std::string page = accuracy_section(data_groups(runs)).body.code();
  EXPECT_NE(page.find("Share of examples whose item is among the first k"), std::string::npos);
  EXPECT_NE(page.find(">100<"), std::string::npos) << page;
  EXPECT_EQ(page.find(">1000<"), std::string::npos) << page;  // the axis would reach 510.5
}

TEST(TrainingSections, SayWhetherATrainingOrItsLogIsMissing) {
  Runs runs;
  runs.runs.push_back({.label = "A"});
  for (const auto& section : {loss_section(runs), throughput_section(runs), memory_section(runs)})
    EXPECT_NE(section.body.code().find("No training was given"), std::string::npos) << section.id;
  runs.runs[0].training.emplace();
  for (const auto& section : {loss_section(runs), throughput_section(runs), memory_section(runs)}) {
    EXPECT_EQ(section.body.code().find("No training was given"), std::string::npos) << section.id;
    EXPECT_NE(section.body.code().find("is logged yet"), std::string::npos) << section.id;
  }
}

}  // namespace
}  // namespace allreco::report
