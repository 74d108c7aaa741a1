#include "eval/evaluate.h"

#include <memory>

#include "cli/bindings.h"
#include "cli/commands.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/run_lock.h"
#include "dist/gpu_placement.h"
#include "eval/base_model.h"
#include "model/device.h"
#include "model/lora/adapter.h"

namespace allreco::cli {

namespace {

void bind(OptionList& list, eval::EvaluateConfig& c) {
  list.add("split", c.split, "The split to evaluate on.");
  list.add("max_tokens_per_batch", c.max_tokens_per_batch, "Tokens of one forward pass: memory and speed only.",
           at_least(1));
  list.add("per_device_eval_batch_size", c.per_device_eval_batch_size,
           "Prompts that are continued together in generation.", at_least(1));
  list.add("max_eval_samples", c.max_eval_samples, "The first so many examples of the split; 0: all.", at_least(0));
  list.add("generate", c.generate, "Also generate greedy answers and count exact matches.");
  list.add("max_new_tokens", c.max_new_tokens, "Of a generated answer; 0: from the longest right answer.", at_least(0));
  list.add("bootstrap_samples", c.bootstrap_samples, "Resamples of shoppers behind each interval.", at_least(1000));
  list.add("seed", c.seed, "Seed of the bootstrap.");
}

struct Options {
  eval::EvaluateConfig config;
  ModelOptions model;
  RuntimeOptions runtime;
  std::string dataset, output_dir;
  double ddp_timeout = 600;
};

/// The adapter's factors over the base, or null without an adapter.
std::unique_ptr<model::LoraStore> load_lora(const ModelOptions& options, const model::BaseModel& base) {
  if (options.adapter_name_or_path.empty()) return nullptr;
  const auto config = model::read_adapter_config(options.adapter_name_or_path);
  auto store = std::make_unique<model::LoraStore>(base.config, config.lora, base.weights.dtype(), /*seed=*/0,
                                                  base.weights.device());
  model::load_adapter(options.adapter_name_or_path, *store);
  return store;
}

void evaluate(dist::Session& session, const Options& options) {
  model::BaseModel base;
  std::unique_ptr<model::LoraStore> lora;
  std::unique_ptr<data::Dataset> dataset;
  std::unique_ptr<core::LockedDirectory> directory;  // on rank 0
  core::Json adapter_fingerprint;
  session.together("load", [&] {
    if (session.is_leader()) directory = std::make_unique<core::LockedDirectory>(options.output_dir);
    const at::Device device = model::choose_device(options.model.device, session.local_rank());
    dist::check_gpu_placement(session, device, options.model.allow_gpu_sharing);
    base = eval::load_base_model(session, {options.model.model_name_or_path, options.model.dtype, device,
                                           options.model.model_loading, options.model.quantization});
    lora = load_lora(options.model, base);
    dataset = std::make_unique<data::Dataset>(options.dataset, options.config.split, session.local_rank() == 0);
    if (session.is_leader() && lora)
      adapter_fingerprint = model::adapter_fingerprint(options.model.adapter_name_or_path);
  });
  core::keep_freed_memory();  // what comes and goes from here on comes again in every batch
  model::Decoder decoder(base.config, base.weights, lora.get());
  const core::Json description{{"model_name_or_path", options.model.model_name_or_path},
                               {"model_fingerprint", base.fingerprint},
                               {"adapter_name_or_path", options.model.adapter_name_or_path},
                               {"adapter_fingerprint", adapter_fingerprint},
                               {"dtype", c10::toString(base.weights.dtype())},
                               {"storage", base.storage}};
  const auto evaluation = eval::evaluate(session, decoder, *dataset, options.config, description);
  session.together("write the evaluation", [&] {
    if (!session.is_leader()) return;
    directory->require_in_place();
    eval::write_evaluation(options.output_dir, evaluation);
    core::write_output(eval::accuracy_table(evaluation.document));
    core::log_info("wrote {}/evaluation.json and predictions.jsonl", options.output_dir);
  });
}

}  // namespace

int evaluate_command(dist::Session& session, const Arguments& arguments) {
  Options options;
  OptionList list(
      "allreco evaluate",
      "Measures a model, with or without an adapter, on a split: accuracy with its interval next to baselines, "
      "ranking metrics, loss, exact match of greedy answers. Writes evaluation.json.");
  bind(list, options.model);
  list.add("dataset", options.dataset, "A dataset directory that `allreco prepare` wrote.");
  list.add("output_dir", options.output_dir, "Where evaluation.json goes.");
  bind(list, options.config);
  list.add("ddp_timeout", options.ddp_timeout, "Seconds that a rank waits for another before the run ends.",
           at_least(0.1));
  bind(list, options.runtime);
  if (!parse_or_help(list, arguments, session)) return kExitDone;
  apply(options.runtime, session);
  require_option("model_name_or_path", options.model.model_name_or_path);
  require_option("dataset", options.dataset);
  require_option("output_dir", options.output_dir);
  eval::validate(options.config);
  session.set_timeout(options.ddp_timeout);
  evaluate(session, options);
  return kExitDone;
}

}  // namespace allreco::cli
