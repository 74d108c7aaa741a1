// What each number is of: files, hashes, options, seeds, ranks, machines, as they were recorded.
#include <algorithm>
#include <array>

#include "report/section.h"

namespace allreco::report {

using core::html;
using core::Html;

namespace {

/// Options that the page shows; the files have all.
constexpr std::array kShownOptions{"model_name_or_path",
                                   "dtype",
                                   "device",
                                   "load_in_4bit",
                                   "dataset",
                                   "seed",
                                   "num_train_epochs",
                                   "max_steps",
                                   "global_batch_size",
                                   "per_device_train_batch_size",
                                   "learning_rate",
                                   "lr_scheduler_type",
                                   "optim",
                                   "lora_r",
                                   "lora_alpha",
                                   "target_modules",
                                   "use_dora",
                                   "deterministic",
                                   "threads"};

class Facts {
 public:
  Facts(std::string run, Table& all) : run_(std::move(run)), all_(all) {
    shown_ = {.id = "", .caption = "Provenance of " + run_, .columns = all.columns};
  }
  /// `on_page`: else in the files alone.
  void add(const std::string& part, const std::string& fact, const std::string& value, bool on_page = true) {
    if (value.empty()) return;
    all_.add({run_, part, fact, value});
    if (on_page) shown_.add({run_, part, fact, value});
  }
  void add_json(const std::string& part, const std::string& fact, const core::Json& json, bool on_page) {
    add(part, fact,
        json.is_string() ? json.get<std::string>() : json.dump(-1, ' ', false, core::Json::error_handler_t::replace),
        on_page);
  }
  Html table() const { return html_of(shown_); }

 private:
  std::string run_;
  Table& all_;
  Table shown_;
};

void add_training(Facts& facts, const Training& training) {
  const std::string part = "training";
  facts.add(part, "directory", training.directory.string());
  facts.add(part, "base_model", training.base);
  facts.add(part, "base_model_fingerprint", training.base_fingerprint);
  facts.add(part, "base_model_storage", training.base_storage);
  facts.add(part, "adapter_fingerprint", training.adapter_fingerprint);
  if (training.identity.contains("dataset_fingerprint"))
    facts.add_json(part, "dataset_fingerprint", training.identity.at("dataset_fingerprint"), true);
  if (training.results) {
    facts.add(part, "ranks", fmt::format("{}", training.results->world_size));
    facts.add(part, "program_version", training.results->program_version.value_or(""));
    if (training.results->machine && training.results->machine->is_object())
      for (const auto& [key, value] : training.results->machine->items()) facts.add_json("machine", key, value, true);
  }
  for (const auto& [key, value] : training.options) {
    const bool is_shown = std::find(kShownOptions.begin(), kShownOptions.end(), key) != kShownOptions.end();
    facts.add("option", key, value, is_shown);
  }
  for (const auto& [key, value] : training.identity.items()) facts.add_json("identity", key, value, false);
}

void add_evaluation(Facts& facts, const Evaluated& evaluated) {
  const std::string part = "evaluation " + evaluated.directory.lexically_normal().filename().string();
  const eval::EvaluationDocument& document = evaluated.document;
  facts.add(part, "directory", evaluated.directory.string());
  if (document.model) {
    facts.add(part, "model", document.model->model_name_or_path);
    facts.add(part, "model_fingerprint", document.model->model_fingerprint);
    facts.add(part, "storage", document.model->storage);
    facts.add(part, "dtype", document.model->dtype);
    facts.add(part, "adapter", document.model->adapter_name_or_path);
    facts.add(part, "adapter_fingerprint", evaluated.adapter_fingerprint());
  }
  facts.add(part, "dataset", document.dataset.directory);
  facts.add(part, "dataset_fingerprint", document.dataset.fingerprint);
  facts.add(part, "split", document.dataset.split);
  facts.add(part, "control", document.dataset.control);
  facts.add(part, "format_version", fmt::format("{}", document.format_version));
  facts.add(part, "intervals", document.intervals);
  if (document.options.is_object())
    for (const auto& [key, value] : document.options.items()) facts.add_json(part + ", option", key, value, false);
}

Html texts_of(const Run& run) {
  Html out;
  const auto details = [&](const std::string& title, const std::string& text) {
    out += html("<details><summary>{}</summary>\n<pre>{}</pre></details>\n", title, Html::lines(text));
  };
  if (run.training && !run.training->config_text.empty())
    details("config.cfg of the training, as --config reads it", run.training->config_text);
  for (const Evaluated& evaluated : run.evaluations) {
    const auto& command = evaluated.document.dataset.quoted[0];
    if (command && command->is_string()) {
      details("How the dataset was prepared", command->get<std::string>());
      break;
    }
  }
  return out;
}

}  // namespace

Section provenance_section(const Runs& runs) {
  Section section{.id = "provenance", .title = "Configuration and provenance"};
  Table all{.id = "provenance",
            .caption = "",
            .columns = {{"run", ""}, {"part", "of"}, {"fact", "what"}, {"value", "value"}}};
  for (std::size_t r = 0; r < runs.runs.size(); ++r) {
    const Run& run = runs.runs[r];
    Facts facts(run.label, all);
    if (run.training) add_training(facts, *run.training);
    for (const Evaluated& evaluated : run.evaluations) add_evaluation(facts, evaluated);
    section.body += html("<h3>{}{}</h3>\n{}{}", swatch(r), run.label, facts.table(), texts_of(run));
  }
  section.tables.push_back(std::move(all));
  return section;
}

}  // namespace allreco::report
