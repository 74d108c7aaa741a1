#include <algorithm>

#include "report/section.h"

namespace allreco::report {

using core::html;
using core::Html;

namespace {

/// "114 steps" or "1 step".
std::string counted(std::int64_t count, const char* one, const char* many) {
  return fmt::format("{} {}", shown_count(count), count == 1 ? one : many);
}

std::string training_sentence(const Training& training) {
  const StepTotals totals = training.totals();
  if (totals.last_step == 0) return "No step of its training is logged yet.";
  std::string text = fmt::format("Trained {}", counted(totals.last_step, "step", "steps"));
  if (training.results)
    text += fmt::format(" ({:.3g} {}, {}) on {}", training.results->epoch,
                        training.results->epoch == 1 ? "epoch" : "epochs",
                        counted(training.results->samples_consumed, "example", "examples"),
                        counted(training.world_size(), "rank", "ranks"));
  if (totals.num_steps < totals.last_step)
    text += fmt::format(", of which the log has {}", counted(totals.num_steps, "step", "steps"));
  if (totals.seconds > 0) text += " in " + shown_duration(totals.seconds);
  const auto has_loss = [](const LoggedStep& step) { return step.loss.has_value(); };
  const auto first = std::find_if(training.steps.begin(), training.steps.end(), has_loss);
  const auto last = std::find_if(training.steps.rbegin(), training.steps.rend(), has_loss);
  if (first != training.steps.end() && first->step != last->step)
    text += fmt::format("; its loss went from {:.3f} to {:.3f}", *first->loss, *last->loss);
  return text + (training.results ? "." : "; it has not ended, or was stopped.");
}

/// Against the best of the baselines.
Html verdict(const Headline& headline) {
  if (headline.best_baseline.empty()) return Html::own(". No baseline applies.");
  const Html baseline =
      html("the best baseline, <i>{}</i> with {}", headline.best_baseline, shown_percent(headline.best_baseline_value));
  return headline.is_clearly_above() ? html(": clearly above {}.", baseline)
                                     : html(", which is <b>not clearly above</b> {}.", baseline);
}

Html headline_sentence(const eval::DatasetDescription& dataset, const Headline& headline) {
  return html("On {} ({} examples{}) it {} in <b>{}</b> of cases {}{}", dataset.split,
              shown_count(dataset.num_examples_evaluated),
              dataset.control == "none" ? "" : ", control " + dataset.control, headline.what,
              shown_percent(headline.estimate.value), shown_interval(headline.estimate.shown_interval()),
              verdict(headline));
}

/// By its first headline: candidates before the catalogue before generated answers.
Html evaluation_sentence(const Evaluated& evaluated) {
  const eval::DatasetDescription& dataset = evaluated.document.dataset;
  if (!evaluated.has_model())
    return html("Baselines alone, on {} examples of {}.", dataset.num_examples_evaluated, dataset.split);
  const auto headlines = headlines_of(evaluated.document);
  if (!headlines.empty()) return headline_sentence(dataset, headlines.front());
  if (!evaluated.document.loss) return Html();
  return html("On {} ({} examples) its loss is {:.3f} nats a token; nothing was ranked or generated.", dataset.split,
              dataset.num_examples_evaluated, evaluated.document.loss->mean_nll);
}

Html run_sentence(const Run& run, std::size_t color) {
  Html text;
  if (run.training) text += html("{} ", training_sentence(*run.training));
  if (!run.training && !run.evaluations.empty() && run.evaluations.front().has_model())
    text += run.evaluations.front().adapter_fingerprint().empty() ? html("The base model as it is. ")
                                                                  : html("An adapter whose training was not given. ");
  for (const Evaluated& evaluated : run.evaluations) text += html("{} ", evaluation_sentence(evaluated));
  if (run.evaluations.empty()) text += html("It has not been evaluated: <code>{}</code>", kEvaluateCommand);
  Html notes;
  for (const std::string& note : run.notes) notes += html("<br/><span class=\"note\">Note: {}.</span>", note);
  return html("<li>{}<div><b>{}</b> {}{}</div></li>\n", swatch(color), run.label, text, notes);
}

}  // namespace

Html missing(const std::string& what, const std::string& command) {
  return html("<p class=\"missing\">{}: <code>{}</code></p>\n", what, command);
}

Section summary_section(const Runs& runs) {
  Section section{.id = "summary", .title = "Summary"};
  Html items;
  for (std::size_t r = 0; r < runs.runs.size(); ++r) items += run_sentence(runs.runs[r], r);
  section.body = html("<ul class=\"runs\">\n{}</ul>\n", items);
  for (const std::string& note : runs.notes) section.body += html("<p class=\"warning\">{}.</p>\n", note);
  return section;
}

}  // namespace allreco::report
