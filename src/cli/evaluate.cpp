#include "eval/evaluate.h"

#include <memory>

#include "cli/bindings.h"
#include "cli/commands.h"
#include "core/check.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/run_lock.h"
#include "dist/timeout_option.h"
#include "eval/base_model.h"
#include "model/lora/adapter.h"

namespace allreco::cli {

namespace {

struct EvaluateOptions {
  eval::BaseModelOptions base;
  eval::EvaluateConfig config;
  RuntimeOptions runtime;
  std::string adapter_name_or_path, dataset, output_dir;
  bool overwrite_output_dir = false;
  double ddp_timeout = 600;
};

void refuse_another_evaluation(const std::filesystem::path& output_dir) {
  for (const char* name : {"evaluation.json", "predictions.jsonl"})
    if (std::filesystem::exists(output_dir / name))
      core::user_error(
          "output_dir = {} already holds an evaluation (found {}): choose another directory, or replace it with "
          "overwrite_output_dir = true",
          output_dir.string(), name);
}

/// The model, and what its document says of it.
struct LoadedModel {
  model::BaseModel base;
  std::unique_ptr<model::LoraStore> lora;
  eval::ModelDescription description;
};

LoadedModel load_model(dist::Session& session, const EvaluateOptions& options) {
  LoadedModel loaded{eval::load_base_model(session, options.base), nullptr, {}};
  const model::BaseModel& base = loaded.base;
  loaded.lora = model::load_adapter(options.adapter_name_or_path, base);
  loaded.description = {.model_name_or_path = options.base.model_name_or_path,
                        .model_fingerprint = base.fingerprint,
                        .adapter_name_or_path = options.adapter_name_or_path,
                        .dtype = c10::toString(base.weights.dtype()),
                        .storage = base.storage};
  if (session.is_leader() && loaded.lora)
    loaded.description.adapter_fingerprint = model::adapter_fingerprint(options.adapter_name_or_path);
  return loaded;
}

eval::Evaluation evaluate(dist::Session& session, LoadedModel* loaded, const data::Dataset& dataset,
                          const data::DatasetInfo& fitted_on, const EvaluateOptions& options) {
  if (!loaded) return eval::evaluate(session, nullptr, dataset, options.config, fitted_on);
  core::keep_freed_memory();  // what comes and goes from here on comes again in every batch
  model::Decoder decoder(loaded->base.config, loaded->base.weights, loaded->lora.get());
  std::optional<model::Decoder> base;
  if (options.config.base_model_baseline) base.emplace(loaded->base.config, loaded->base.weights, nullptr);
  const eval::ModelToEvaluate model{decoder, loaded->description, base ? &*base : nullptr};
  return eval::evaluate(session, &model, dataset, options.config, fitted_on);
}

/// The changed split, which the leader writes into the output directory for as long as it is read; null: none.
std::unique_ptr<eval::ControlDataset> control_of(dist::Session& session, const data::Dataset& dataset,
                                                 const EvaluateOptions& options) {
  if (options.config.control == "none") return nullptr;
  return std::make_unique<eval::ControlDataset>(
      session, dataset,
      eval::ControlOptions{.control = options.config.control,
                           .split = options.config.split,
                           .seed = options.config.seed,
                           .max_eval_samples = options.config.max_eval_samples,
                           .ranks_catalogue = options.config.catalogue.ranks_catalogue()},
      std::filesystem::path(options.output_dir) / ".control");
}

void run(dist::Session& session, const EvaluateOptions& options) {
  std::optional<LoadedModel> model;
  std::unique_ptr<data::Dataset> dataset;
  std::unique_ptr<core::LockedDirectory> directory;  // on rank 0
  session.together("load", [&] {
    if (session.is_leader()) {
      directory = std::make_unique<core::LockedDirectory>(options.output_dir);
      if (!options.overwrite_output_dir) refuse_another_evaluation(options.output_dir);
    }
    if (!options.config.baselines_only) model = load_model(session, options);
    dataset = std::make_unique<data::Dataset>(options.dataset, options.config.split, session.local_rank() == 0);
  });
  const std::unique_ptr<eval::ControlDataset> control = control_of(session, *dataset, options);
  const eval::Evaluation evaluation =
      evaluate(session, model ? &*model : nullptr, control ? control->dataset() : *dataset, dataset->info(), options);
  session.together("write the evaluation", [&] {
    if (!session.is_leader()) return;
    directory->require_in_place();
    eval::write_evaluation(options.output_dir, evaluation);
    core::write_output(eval::accuracy_table(evaluation.document));
    core::log_info("wrote {}/evaluation.json and predictions.jsonl", options.output_dir);
  });
}

core::OptionGroups evaluate_options(EvaluateOptions& options) {
  return {{"Input and output",
           {{"adapter_name_or_path", options.adapter_name_or_path, "A PEFT adapter directory; empty: the base alone."},
            {"dataset", options.dataset, "A dataset directory that `allreco prepare` wrote."},
            {"output_dir", options.output_dir, "Where evaluation.json goes."},
            {"overwrite_output_dir", options.overwrite_output_dir, "Replace an evaluation that lies in output_dir."},
            dist::timeout_option(options.ddp_timeout)}}};
}

}  // namespace

int evaluate_command(dist::Session& session, const Arguments& arguments) {
  EvaluateOptions options;
  OptionList list(
      "allreco evaluate",
      "Measures a model, with or without an adapter, on a split: accuracy with its interval next to baselines, "
      "ranking metrics, loss, exact match of greedy answers. Writes evaluation.json.",
      {options.base.options(), evaluate_options(options), options.config.options(), options.runtime.options()});
  if (!parse_or_help(list, arguments, session)) return kExitDone;
  apply(options.runtime, session);
  if (!options.config.baselines_only) require_option("model_name_or_path", options.base.model_name_or_path);
  if (options.config.base_model_baseline && options.adapter_name_or_path.empty())
    core::user_error(
        "base_model_baseline = true ranks with the model without its adapter, too, but adapter_name_or_path is "
        "missing: give one, or leave base_model_baseline out");
  if (options.config.base_model_baseline && options.config.baselines_only)
    core::user_error("base_model_baseline = true needs the model, which baselines_only = true leaves out: choose one");
  require_option("dataset", options.dataset);
  require_option("output_dir", options.output_dir);
  session.set_timeout(options.ddp_timeout);
  run(session, options);
  return kExitDone;
}

}  // namespace allreco::cli
