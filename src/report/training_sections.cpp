// What a training's log says: loss and learning rate, speed, memory.
#include <algorithm>
#include <functional>
#include <set>

#include "report/section.h"

namespace allreco::report {

using core::html;
using core::Html;

namespace {

using Value = std::function<std::optional<double>(const LoggedStep&)>;

/// `what`: what a line of a step has, and none that was given has.
Html no_log(const Runs& runs, const char* what) {
  if (runs.num_trainings() == 0)
    return missing("No training was given, so its log is not known. Give the output_dir of", kTrainCommand);
  return missing(fmt::format("No {} is logged yet; a line every logging_steps steps is by", what), kTrainCommand);
}

bool has_lines(const Runs& runs) {
  return std::any_of(runs.runs.begin(), runs.runs.end(), [](const Run& run) {
    return run.training && !(run.training->steps.empty() && run.training->evaluations.empty());
  });
}

/// One line for each training whose log has the value.
std::vector<Series> step_series(const Runs& runs, const Value& value) {
  std::vector<Series> all;
  for (std::size_t r = 0; r < runs.runs.size(); ++r) {
    if (!runs.runs[r].training) continue;
    Series series{.name = runs.runs[r].label, .color = r};
    for (const LoggedStep& step : runs.runs[r].training->steps) {
      if (const auto y = value(step))
        series.points.push_back({.x = static_cast<double>(step.step),
                                 .y = *y,
                                 .text = fmt::format("{}, step {}: {}", series.name, step.step, shown_number(*y))});
    }
    if (!series.points.empty()) all.push_back(std::move(series));
  }
  return all;
}

using EvaluationValue = std::function<std::optional<double>(const LoggedEvaluation&)>;
std::vector<Series> evaluation_series(const Runs& runs, const EvaluationValue& value, const std::string& what) {
  std::vector<Series> all;
  for (std::size_t r = 0; r < runs.runs.size(); ++r) {
    if (!runs.runs[r].training) continue;
    Series series{.name = fmt::format("{}, {}", runs.runs[r].label, what), .color = r};
    series.mark = Mark::line_and_points;
    series.is_dashed = true;
    for (const LoggedEvaluation& line : runs.runs[r].training->evaluations) {
      if (const auto y = value(line))
        series.points.push_back({.x = static_cast<double>(line.step),
                                 .y = *y,
                                 .text = fmt::format("{}, step {}: {}", series.name, line.step, shown_number(*y))});
    }
    if (!series.points.empty()) all.push_back(std::move(series));
  }
  return all;
}

Html chart_of(const std::string& title, const std::string& unit, std::vector<Series> series, Unit y_unit,
              bool from_zero, const std::string& note = "") {
  if (series.empty()) return Html();
  Axis x = Axis::linear("step", xs_of(series), Unit::number, /*from_zero=*/true);
  Axis y = Axis::linear(unit, ys_of(series), y_unit, from_zero);
  return html_of(Chart{title, note, std::move(x), std::move(y), std::move(series)});
}

/// Metrics of evaluations during training, beside the loss.
std::set<std::string> other_metrics(const Runs& runs) {
  std::set<std::string> names;
  for (const Run& run : runs.runs) {
    if (!run.training) continue;
    for (const LoggedEvaluation& line : run.training->evaluations)
      for (const auto& [name, value] : line.others) names.insert(name);
  }
  return names;
}

Table steps_table(const Runs& runs) {
  Table table{
      .id = "steps", .caption = "Logged steps", .columns = {{"run", "run"}, {"step", "step"}, {"epoch", "epoch"}}};
  for (const char* key :
       {"loss", "grad_norm", "learning_rate", "num_steps", "tokens", "supervised_tokens", "tokens_per_second",
        "step_ms", "compute_ms", "communication_exposed_ms", "data_wait_ms", "peak_rss_bytes", "peak_gpu_bytes"})
    table.columns.push_back({key, key, Format::number});
  for (const Run& run : runs.runs) {
    if (!run.training) continue;
    for (const LoggedStep& s : run.training->steps)
      table.add({run.label, s.step, s.epoch, cell(s.loss), cell(s.grad_norm), cell(s.learning_rate), cell(s.num_steps),
                 cell(s.tokens), cell(s.supervised_tokens), cell(s.tokens_per_second), cell(s.step_ms),
                 cell(s.compute_ms), cell(s.communication_exposed_ms), cell(s.data_wait_ms), cell(s.peak_rss_bytes),
                 cell(s.peak_gpu_bytes)});
  }
  return table;
}

Table training_evaluations_table(const Runs& runs) {
  Table table{.id = "training_evaluations",
              .caption = "Evaluations during training",
              .columns = {{"run", "run"},
                          {"step", "step"},
                          {"epoch", "epoch"},
                          {"metric", "metric"},
                          {"value", "value", Format::number}}};
  for (const Run& run : runs.runs) {
    if (!run.training) continue;
    for (const LoggedEvaluation& line : run.training->evaluations) {
      if (line.loss) table.add({run.label, line.step, line.epoch, "loss", *line.loss});
      for (const auto& [name, value] : line.others) table.add({run.label, line.step, line.epoch, name, value});
    }
  }
  return table;
}

Table loss_table(const Runs& runs) {
  Table table{.id = "loss",
              .caption = "Training loss in nats per supervised token",
              .columns = {{"run", "run"},
                          {"steps", "steps", Format::count},
                          {"epochs", "epochs", Format::number},
                          {"first_loss", "first logged", Format::number},
                          {"last_loss", "last logged", Format::number},
                          {"lowest_eval_loss", "lowest on validation", Format::number},
                          {"lowest_eval_loss_step", "at step", Format::count},
                          {"skipped_steps", "skipped steps", Format::count},
                          {"failed_saves", "failed saves", Format::count}}};
  for (const Run& run : runs.runs) {
    if (!run.training || run.training->steps.empty()) continue;
    const Training& training = *run.training;
    const LoggedEvaluation* best = nullptr;
    for (const LoggedEvaluation& line : training.evaluations)
      if (line.loss && (!best || *line.loss < *best->loss)) best = &line;
    table.add({run.label, training.steps.back().step, training.steps.back().epoch, cell(training.steps.front().loss),
               cell(training.steps.back().loss), best ? cell(best->loss) : Cell(), best ? Cell(best->step) : Cell(),
               training.results ? Cell(training.results->skipped_steps) : Cell(),
               training.results ? Cell(training.results->failed_saves) : Cell()});
  }
  return table;
}

const std::vector<std::string>& parts_of_a_step() {
  static const std::vector<std::string> kParts{"forward and backward", "waiting for other ranks", "waiting for data",
                                               "the rest: clipping, optimiser"};
  return kParts;
}

Table throughput_table(const Runs& runs) {
  Table table{.id = "throughput",
              .caption = "Speed of training",
              .columns = {{"run", "run"},
                          {"ranks", "ranks", Format::count},
                          {"steps", "steps", Format::count},
                          {"tokens", "tokens", Format::count},
                          {"tokens_per_second", "tokens a second", Format::count},
                          {"step_seconds", "a step", Format::seconds},
                          {"seconds_in_steps", "all steps", Format::seconds},
                          {"seconds_in_evaluations", "evaluations", Format::seconds},
                          {"share_compute", "computing", Format::percent},
                          {"share_communication", "waiting for ranks", Format::percent},
                          {"share_data", "waiting for data", Format::percent},
                          {"share_other", "the rest", Format::percent}}};
  for (const Run& run : runs.runs) {
    if (!run.training) continue;
    const StepTotals totals = run.training->totals();
    if (totals.seconds <= 0) continue;
    const std::int64_t ranks = run.training->world_size();
    table.add({run.label, ranks > 0 ? Cell(ranks) : Cell(), totals.num_steps, totals.tokens,
               totals.tokens / totals.seconds, totals.seconds / static_cast<double>(totals.num_steps), totals.seconds,
               totals.evaluation_s, totals.compute_s / totals.seconds, totals.communication_s / totals.seconds,
               totals.data_s / totals.seconds, totals.other_s() / totals.seconds});
  }
  return table;
}

Table memory_table(const Runs& runs) {
  Table table{.id = "memory",
              .caption = "Highest memory of a training",
              .columns = {{"run", "run"},
                          {"peak_rss_bytes", "of the largest rank", Format::bytes},
                          {"peak_gpu_bytes", "on the GPU of rank 0", Format::bytes},
                          {"adapter_parameters", "parameters of the adapter", Format::count}}};
  for (const Run& run : runs.runs) {
    if (!run.training) continue;
    const StepTotals totals = run.training->totals();
    if (totals.peak_rss_bytes <= 0) continue;
    table.add({run.label, totals.peak_rss_bytes, totals.peak_gpu_bytes > 0 ? Cell(totals.peak_gpu_bytes) : Cell(),
               cell(run.training->adapter_parameters)});
  }
  return table;
}

Html charts(const Html& all) { return html("<div class=\"charts\">\n{}</div>\n", all); }

}  // namespace

Section loss_section(const Runs& runs) {
  Section section{.id = "loss", .title = "Loss and learning rate"};
  section.tables = {loss_table(runs), steps_table(runs), training_evaluations_table(runs)};
  if (!has_lines(runs)) {
    section.body = no_log(runs, "loss");
    return section;
  }
  std::vector<Series> losses = step_series(runs, [](const LoggedStep& s) { return s.loss; });
  for (Series& series : losses) series.name += ", train";
  const auto on_validation = evaluation_series(
      runs, [](const LoggedEvaluation& e) { return e.loss; }, "validation");
  losses.insert(losses.end(), on_validation.begin(), on_validation.end());
  Html all = chart_of("Loss", "nats per supervised token", std::move(losses), Unit::number, false,
                      "nats per supervised token; training: mean since the line before");
  all += chart_of("Learning rate", "learning rate",
                  step_series(runs, [](const LoggedStep& s) { return s.learning_rate; }), Unit::number, true);
  for (const std::string& metric : other_metrics(runs))
    all += chart_of("Validation " + metric, metric,
                    evaluation_series(
                        runs,
                        [&](const LoggedEvaluation& e) {
                          const double* found = core::find(e.others, metric);
                          return found ? std::optional(*found) : std::nullopt;
                        },
                        "validation"),
                    Unit::number, false);
  all += chart_of("Norm of the gradient", "norm", step_series(runs, [](const LoggedStep& s) { return s.grad_norm; }),
                  Unit::number, true, "before clipping");
  section.body = charts(all);
  if (on_validation.empty())
    section.body += missing("No loss on validation was measured during training. It is with",
                            "allreco train --eval_strategy epoch ...");
  section.body += html_of(section.tables.front());
  return section;
}

Section throughput_section(const Runs& runs) {
  Section section{.id = "throughput", .title = "Speed, and where a step's time goes"};
  const Table table = throughput_table(runs);
  section.tables = {table};
  if (table.rows.empty()) {
    section.body = no_log(runs, "time of a step");
    return section;
  }
  Html all = chart_of("Tokens a second", "tokens/s",
                      step_series(runs, [](const LoggedStep& s) { return s.tokens_per_second; }), Unit::number, true,
                      "of all ranks together");
  std::vector<StackedBar> bars;
  for (const Run& run : runs.runs) {
    if (!run.training) continue;
    const StepTotals totals = run.training->totals();
    if (totals.seconds > 0)
      bars.push_back({run.label, {totals.compute_s, totals.communication_s, totals.data_s, totals.other_s()}});
  }
  all += stacked_bars("Where a step's time goes", parts_of_a_step(), bars);
  section.body = charts(all);
  section.body += html_of(table);
  section.body += html(
      "<p class=\"note\">Times are those of rank 0. Loading the model, evaluations and saves are not in "
      "the steps.</p>\n");
  return section;
}

Section memory_section(const Runs& runs) {
  Section section{.id = "memory", .title = "Memory"};
  const Table table = memory_table(runs);
  section.tables = {table};
  if (table.rows.empty()) {
    section.body = no_log(runs, "memory of a step");
    return section;
  }
  Html all = chart_of("Highest memory so far", "bytes",
                      step_series(runs, [](const LoggedStep& s) { return s.peak_rss_bytes; }), Unit::bytes, true,
                      "resident set of the largest rank");
  const auto on_gpu = [](const LoggedStep& s) {
    return s.peak_gpu_bytes.value_or(0) > 0 ? s.peak_gpu_bytes : std::nullopt;
  };
  all += chart_of("Highest memory on the GPU so far", "bytes", step_series(runs, on_gpu), Unit::bytes, true, "rank 0");
  section.body = charts(all);
  section.body += html_of(table);
  return section;
}

}  // namespace allreco::report
