// Runs side by side: accuracy against the model's size, and the time and cost of training.
#include <algorithm>
#include <functional>
#include <set>

#include "report/section.h"

namespace allreco::report {

using core::html;
using core::Html;

namespace {

struct Cost {
  double training_s = 0, rank_hours = 0;
  std::optional<double> price = {};
};

/// None: its training was not given, though it has an adapter, so what it took is not known.
std::optional<Cost> cost_of(const Run& run, double price_per_rank_hour) {
  Cost cost;
  if (run.training) {
    cost.training_s = run.training->totals().seconds;
    if (run.training->world_size() == 0) return std::nullopt;
    cost.rank_hours = cost.training_s / 3600 * static_cast<double>(run.training->world_size());
  } else if (run.evaluations.empty() || !run.evaluations.front().has_model() ||
             !run.evaluations.front().adapter_fingerprint().empty()) {
    return std::nullopt;
  }
  if (price_per_rank_hour > 0) cost.price = cost.rank_hours * price_per_rank_hour;
  return cost;
}

Table comparison_table(bool has_price) {
  Table table{.id = "comparison",
              .caption = "Runs side by side",
              .columns = {{"run", "run"},
                          {"base_parameters", "parameters", Format::count},
                          {"adapter_parameters", "of the adapter", Format::count},
                          {"ranks", "ranks", Format::count},
                          {"tokens", "tokens trained on", Format::count},
                          {"training_seconds", "training", Format::seconds},
                          {"rank_hours", "rank hours", Format::hours},
                          {"price", has_price ? "price" : "", Format::number},
                          {"peak_rss_bytes", "memory a rank", Format::bytes},
                          {"data", "data"},
                          {"metric", "metric"},
                          {"ranking", "ranking"},
                          {"value", "value", Format::percent},
                          Column::interval("wilson_95", "", Format::percent),
                          Column::interval("bootstrap_95", "bootstrap 95 %", Format::percent),
                          {"best_baseline", "best baseline"},
                          {"best_baseline_value", "its value", Format::percent},
                          {"loss", "loss", Format::number}}};
  return table;
}

std::vector<Cell> facts_of(const Run& run, double price_per_rank_hour) {
  const auto cost = cost_of(run, price_per_rank_hour);
  const std::optional<StepTotals> totals = run.training ? std::optional(run.training->totals()) : std::nullopt;
  const std::int64_t ranks = run.training ? run.training->world_size() : 0;
  return {run.label,
          cell(run.base_parameters),
          run.training ? cell(run.training->adapter_parameters) : Cell(),
          ranks > 0 ? Cell(ranks) : Cell(),
          totals ? Cell(totals->tokens) : Cell(),
          cost ? Cell(cost->training_s) : Cell(),
          cost ? Cell(cost->rank_hours) : Cell(),
          cost ? cell(cost->price) : Cell(),
          totals && totals->peak_rss_bytes > 0 ? Cell(totals->peak_rss_bytes) : Cell()};
}

void add_row(Table& table, const Run& run, double price, std::vector<Cell> about) {
  std::vector<Cell> row = facts_of(run, price);
  row.insert(row.end(), about.begin(), about.end());
  table.add(std::move(row));
}

void add_evaluation(Table& table, const DataGroup& group, const EvaluatedRun& one, double price) {
  const Cell loss = one.document().loss ? Cell(one.document().loss->mean_nll) : Cell();
  const auto headlines = headlines_of(one.document());
  if (headlines.empty())
    add_row(table, *one.run, price, {group.title, Cell(), Cell(), Cell(), Cell(), Cell(), Cell(), Cell(), loss});
  for (const Headline& headline : headlines)
    add_row(
        table, *one.run, price,
        {group.title, headline.metric, headline.ranking.empty() ? Cell() : Cell(headline.ranking),
         headline.estimate.value, cell(headline.estimate.wilson_95), headline.estimate.bootstrap_95,
         headline.best_baseline, headline.best_baseline.empty() ? Cell() : Cell(headline.best_baseline_value), loss});
}

void add_rows(Table& table, const Runs& runs, const std::vector<DataGroup>& groups, double price) {
  constexpr std::size_t kAboutEvaluation = 9;  // columns
  for (const Run& run : runs.runs) {
    if (run.evaluations.empty()) add_row(table, run, price, std::vector<Cell>(kAboutEvaluation));
    for (const DataGroup& group : groups)
      for (const EvaluatedRun& one : group.evaluations)
        if (one.run == &run) add_evaluation(table, group, one, price);
  }
}

using Where = std::function<std::optional<double>(const Run&)>;

/// Evaluations whose figures compare, and one of these figures.
struct Comparable {
  std::string title, metric;
  std::vector<const EvaluatedRun*> evaluations;
};

/// Of a group: those of lists and answers, and those of the catalogue for each way in which it was ranked.
std::vector<Comparable> comparables_of(const DataGroup& group) {
  std::vector<const EvaluatedRun*> all;
  for (const EvaluatedRun& one : group.evaluations) all.push_back(&one);
  std::vector<Comparable> comparables{{group.title, "accuracy", all}};
  for (const CatalogueGroup& of : catalogue_groups(group))
    comparables.push_back({fmt::format("{}; {}", group.title, of.task), "hit_rate@10", of.evaluations});
  comparables.push_back({group.title, "exact_match", all});
  return comparables;
}

/// A point for each evaluation that has the metric and a place on the x axis; a line at the best baseline.
std::vector<Series> points_of(const Comparable& what, const Where& where) {
  std::vector<Series> all;
  std::optional<double> baseline;
  for (const EvaluatedRun* one : what.evaluations) {
    const auto x = where(*one->run);
    for (const Headline& headline : headlines_of(one->document())) {
      if (headline.metric != what.metric || !x) continue;
      const eval::Interval& interval = headline.estimate.shown_interval();
      all.push_back({.name = one->name,
                     .color = one->color,
                     .mark = Mark::points,
                     .points = {{.x = *x,
                                 .y = headline.estimate.value,
                                 .y_interval = interval,
                                 .text = fmt::format("{}: {} {}", one->name, shown_percent(headline.estimate.value),
                                                     shown_interval(interval))}}});
      if (!headline.best_baseline.empty()) baseline = std::max(baseline.value_or(0), headline.best_baseline_value);
    }
  }
  if (all.size() < 2) return {};
  if (baseline) {
    const auto xs = xs_of(all);
    const auto [low, high] = std::minmax_element(xs.begin(), xs.end());
    all.push_back({.name = "best baseline",
                   .color = kReferenceColor,
                   .is_dashed = true,
                   .points = {{.x = *low, .y = *baseline}, {.x = *high, .y = *baseline}}});
  }
  return all;
}

/// Nothing where all points stand at one place of the x axis.
Html trade_off(const Comparable& what, const std::string& label, bool is_logarithmic, const Where& where) {
  std::vector<Series> series = points_of(what, where);
  const std::vector<double> xs = xs_of(series);
  if (std::set<double>(xs.begin(), xs.end()).size() < 2) return Html();
  Axis x = is_logarithmic ? Axis::logarithmic(label, xs) : Axis::linear(label, xs, Unit::number, true);
  Axis y = Axis::linear(what.metric, ys_of(series), Unit::share, true);
  return html_of(Chart{.title = fmt::format("{} against {}", what.metric, label),
                       .note = what.title + "; whiskers: 95 %",
                       .x = std::move(x),
                       .y = std::move(y),
                       .series = std::move(series)});
}

/// The unit in which the longest training is a number of one or two digits.
struct TimeUnit {
  const char* name;
  double seconds;
};
TimeUnit time_unit(const Comparable& what) {
  double longest = 0;
  for (const EvaluatedRun* one : what.evaluations)
    if (const auto cost = cost_of(*one->run, 0)) longest = std::max(longest, cost->training_s);
  if (longest < 200) return {"seconds", 1};
  return longest < 7200 ? TimeUnit{"minutes", 60} : TimeUnit{"hours", 3600};
}

/// Rank hours say no more than time where all trainings had as many ranks.
bool ranks_differ(const Comparable& what) {
  std::set<std::int64_t> ranks;
  for (const EvaluatedRun* one : what.evaluations)
    if (one->run->training) ranks.insert(one->run->training->world_size());
  return ranks.size() > 1;
}

Html trade_offs_of(const Comparable& what, double price) {
  Html all = trade_off(what, "parameters of the base model", true, [](const Run& run) {
    return run.base_parameters ? std::optional(static_cast<double>(*run.base_parameters)) : std::nullopt;
  });
  const TimeUnit unit = time_unit(what);
  all += trade_off(what, fmt::format("{} of training", unit.name), false, [unit](const Run& run) {
    const auto cost = cost_of(run, 0);
    return cost ? std::optional(cost->training_s / unit.seconds) : std::nullopt;
  });
  if (price > 0) {
    all += trade_off(what, "price of training", false, [price](const Run& run) {
      const auto cost = cost_of(run, price);
      return cost ? cost->price : std::nullopt;
    });
  } else if (ranks_differ(what)) {
    all += trade_off(what, "rank hours of training", false, [](const Run& run) {
      const auto cost = cost_of(run, 0);
      return cost ? std::optional(cost->rank_hours) : std::nullopt;
    });
  }
  return all;
}

Html trade_offs(const DataGroup& group, double price) {
  Html all;
  for (const Comparable& what : comparables_of(group)) all += trade_offs_of(what, price);
  return all;
}

}  // namespace

Section comparison_section(const Runs& runs, const std::vector<DataGroup>& groups, double price_per_rank_hour) {
  Section section{.id = "comparison", .title = "Accuracy against size, time and cost"};
  Html charts;
  for (const DataGroup& group : groups) charts += trade_offs(group, price_per_rank_hour);
  if (!charts.empty()) {
    section.body += html("<div class=\"charts\">\n{}</div>\n", charts);
  } else {
    section.body +=
        missing("What size, time and money buy shows with several runs that were evaluated on the same examples",
                "allreco report OUT1 EV1 OUT2 EV2 --output report.html");
  }
  Table table = comparison_table(price_per_rank_hour > 0);
  add_rows(table, runs, groups, price_per_rank_hour);
  section.add(std::move(table));
  section.body +=
      html("<p class=\"note\">Training is the time of all its steps; rank hours are that time on every rank.{}</p>\n",
           price_per_rank_hour > 0 ? fmt::format(" A rank hour costs {:g}.", price_per_rank_hour)
                                   : " Prices: --price_per_rank_hour.");
  return section;
}

}  // namespace allreco::report
