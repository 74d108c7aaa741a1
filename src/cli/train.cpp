#include "cli/bindings.h"
#include "cli/commands.h"
#include "core/log.h"
#include "train/checkpoint.h"
#include "train/trainer.h"

namespace allreco::cli {

namespace {

core::OptionGroups adapter_options(train::TrainJob& job) {
  return {{"Adapter to start from",
           {{"adapter_name_or_path", job.adapter_name_or_path,
             "A PEFT adapter directory, whose LoRA options then count; empty: a new one by the options below."}}}};
}

void say_how_to_resume(const dist::Session& session, const train::TrainResult& result) {
  if (!session.is_leader()) return;
  core::log_info(
      "stopped by a signal after step {}: the same command with --resume_from_checkpoint auto goes on from {}",
      result.global_step, train::checkpoint_name(result.global_step));
}

}  // namespace

int train_command(dist::Session& session, const Arguments& arguments) {
  train::TrainJob job;
  RuntimeOptions runtime;
  OptionList list(
      "allreco train", "Fine-tunes a model with LoRA on the training split of a dataset; run it under mpirun.",
      {job.base.options(), job.config.options(), adapter_options(job), job.lora.options(), runtime.options()});
  if (!parse_or_help(list, arguments, session)) return kExitDone;
  apply(runtime, session);
  require_option("model_name_or_path", job.base.model_name_or_path);
  require_option("dataset", job.config.dataset);
  require_option("output_dir", job.config.output_dir);
  job.resolved_options = list.as_config();
  session.set_timeout(job.config.ddp_timeout);
  const train::TrainResult result = train::run_training(session, job);
  if (!result.stopped_by_signal) return kExitDone;
  say_how_to_resume(session, result);
  return kExitRequeue;
}

}  // namespace allreco::cli
