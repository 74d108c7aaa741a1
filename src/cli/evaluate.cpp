#include "eval/evaluate.h"

#include <memory>

#include "cli/bindings.h"
#include "cli/commands.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/run_lock.h"
#include "dist/timeout_option.h"
#include "eval/base_model.h"
#include "model/lora/adapter.h"

namespace allreco::cli {

namespace {

struct Options {
  eval::BaseModelOptions base;
  eval::EvaluateConfig config;
  RuntimeOptions runtime;
  std::string adapter_name_or_path, dataset, output_dir;
  double ddp_timeout = 600;
};

/// The adapter's factors over the base, or null without an adapter.
std::unique_ptr<model::LoraStore> load_lora(const std::string& adapter, const model::BaseModel& base) {
  if (adapter.empty()) return nullptr;
  const auto config = model::read_adapter_config(adapter);
  model::check_adapter(adapter, base.config, config.lora);
  auto store = std::make_unique<model::LoraStore>(base.config, config.lora, base.weights.dtype(), /*seed=*/0,
                                                  base.weights.device());
  model::load_adapter(adapter, *store);
  return store;
}

void evaluate(dist::Session& session, const Options& options) {
  model::BaseModel base;
  std::unique_ptr<model::LoraStore> lora;
  std::unique_ptr<data::Dataset> dataset;
  std::unique_ptr<core::LockedDirectory> directory;  // on rank 0
  std::optional<std::string> adapter_fingerprint;
  session.together("load", [&] {
    if (session.is_leader()) directory = std::make_unique<core::LockedDirectory>(options.output_dir);
    base = eval::load_base_model(session, options.base);
    lora = load_lora(options.adapter_name_or_path, base);
    dataset = std::make_unique<data::Dataset>(options.dataset, options.config.split, session.local_rank() == 0);
    if (session.is_leader() && lora) adapter_fingerprint = model::adapter_fingerprint(options.adapter_name_or_path);
  });
  core::keep_freed_memory();  // what comes and goes from here on comes again in every batch
  model::Decoder decoder(base.config, base.weights, lora.get());
  const eval::ModelDescription description{.model_name_or_path = options.base.model_name_or_path,
                                           .model_fingerprint = base.fingerprint,
                                           .adapter_name_or_path = options.adapter_name_or_path,
                                           .adapter_fingerprint = adapter_fingerprint,
                                           .dtype = c10::toString(base.weights.dtype()),
                                           .storage = base.storage};
  const auto evaluation = eval::evaluate(session, decoder, *dataset, options.config, description);
  session.together("write the evaluation", [&] {
    if (!session.is_leader()) return;
    directory->require_in_place();
    eval::write_evaluation(options.output_dir, evaluation);
    core::write_output(eval::accuracy_table(evaluation.document));
    core::log_info("wrote {}/evaluation.json and predictions.jsonl", options.output_dir);
  });
}

core::OptionGroups evaluate_options(Options& options) {
  return {{"Input and output",
           {{"adapter_name_or_path", options.adapter_name_or_path, "A PEFT adapter directory; empty: the base alone."},
            {"dataset", options.dataset, "A dataset directory that `allreco prepare` wrote."},
            {"output_dir", options.output_dir, "Where evaluation.json goes."},
            dist::timeout_option(options.ddp_timeout)}}};
}

}  // namespace

int evaluate_command(dist::Session& session, const Arguments& arguments) {
  Options options;
  OptionList list(
      "allreco evaluate",
      "Measures a model, with or without an adapter, on a split: accuracy with its interval next to baselines, "
      "ranking metrics, loss, exact match of greedy answers. Writes evaluation.json.",
      {options.base.options(), evaluate_options(options), options.config.options(), options.runtime.options()});
  if (!parse_or_help(list, arguments, session)) return kExitDone;
  apply(options.runtime, session);
  require_option("model_name_or_path", options.base.model_name_or_path);
  require_option("dataset", options.dataset);
  require_option("output_dir", options.output_dir);
  session.set_timeout(options.ddp_timeout);
  evaluate(session, options);
  return kExitDone;
}

}  // namespace allreco::cli
