#include "cli/bindings.h"
#include "cli/commands.h"
#include "core/log.h"
#include "train/checkpoint.h"
#include "train/trainer.h"

namespace allreco::cli {

namespace {

void bind(OptionList& list, train::TrainConfig& c) {
  list.add("dataset", c.dataset, "A dataset directory that `allreco prepare` wrote.");
  list.add("train_split", c.train_split, "The split to learn from.");
  list.add("eval_split", c.eval_split, "The split for eval_loss.");
  list.add("output_dir", c.output_dir, "Where the run writes; new or empty, unless it resumes.");
  list.add("overwrite_output_dir", c.overwrite_output_dir, "Delete what an earlier run left in output_dir.");
  list.add("resume_from_checkpoint", c.resume_from_checkpoint,
           "auto: the newest whole checkpoint, if any; last; or a checkpoint directory. Empty: start anew.");
  list.add("resume_with_changed", c.resume_with_changed,
           "What may differ from the run resumed, by the names in the refusal: learning_rate,num_steps, for example.");
  list.add(
      "per_device_train_batch_size", c.per_device_train_batch_size,
      "Examples that a rank computes at once (a micro-batch); speed and memory only when global_batch_size is given.",
      at_least(1));
  list.add("gradient_accumulation_steps", c.gradient_accumulation_steps, "Micro-batches of a rank per step.",
           at_least(1));
  list.add("global_batch_size", c.global_batch_size,
           "Examples per step over all ranks; 0: the two above times the number of ranks.", at_least(0));
  list.add("num_train_epochs", c.num_train_epochs, "Passes over the training split; fractions allowed.", at_least(0));
  list.add("max_steps", c.max_steps, "Optimiser steps; -1: from num_train_epochs.", at_least(-1));
  list.add("shuffle_dataset", c.shuffle_dataset,
           "A new order each epoch, from the seed; false: the order of the file.");
  list.add("seed", c.seed, "Seed of the sample order, LoRA's start and dropout.");
  list.add("dataloader_num_workers", c.dataloader_num_workers,
           "1: a thread reads and packs the coming micro-batches while the step computes; 0: the step does; -1: 1 on a "
           "GPU, else 0.",
           between(-1, 1));
  list.add("dataloader_pin_memory", c.dataloader_pin_memory,
           "On a GPU: hand batches over in page-locked memory, so that the copy runs beside other work.");
  list.add("learning_rate", c.learning_rate, "The peak learning rate.", at_least(0));
  list.add("lr_scheduler_type", c.lr_scheduler_type, "How the rate changes over the run.",
           one_of({"linear", "cosine", "constant", "constant_with_warmup", "cosine_with_min_lr"}));
  list.add("warmup_steps", c.warmup_steps, "Steps over which the rate climbs from 0.", at_least(0));
  list.add("warmup_ratio", c.warmup_ratio, "The same as a share of all steps; counts when warmup_steps is 0.",
           between(0, 1));
  list.add("min_lr", c.min_lr, "cosine_with_min_lr: the lowest rate; -1: not given.", at_least(-1));
  list.add("min_lr_rate", c.min_lr_rate, "cosine_with_min_lr: the lowest rate as a share of the peak; -1: not given.",
           at_least(-1));
  list.add("optim", c.optim,
           "The optimiser: torch's AdamW, or bitsandbytes' with 8-bit moments (adamw_bnb_8bit is the same).",
           one_of({"adamw_torch", "adamw_8bit", "adamw_bnb_8bit"}));
  list.add("loraplus_lr_ratio", c.loraplus_lr_ratio,
           "LoRA+: the B factors learn with this times the learning rate, often 4 to 16; 0: off.", at_least(0));
  list.add("weight_decay", c.weight_decay, "AdamW's decoupled weight decay, on every LoRA factor.", at_least(0));
  list.add("adam_beta1", c.adam_beta1, "Decay of the gradient's mean.", between(0, 1));
  list.add("adam_beta2", c.adam_beta2, "Decay of the squared gradient's mean.", between(0, 1));
  list.add("adam_epsilon", c.adam_epsilon, "Added to the root of the latter.", at_least(0));
  list.add("max_grad_norm", c.max_grad_norm, "Longer gradients are scaled down to it; 0: never.", at_least(0));
  list.add("gradient_checkpointing", c.gradient_checkpointing,
           "Keep only the blocks' inputs and compute the rest again: less memory, more time.");
  list.add("max_skipped_steps", c.max_skipped_steps,
           "Skipped steps in a row after which the run ends; skipped: loss or gradient not finite.", at_least(0));
  list.add("skip_update_lossz", c.skip_update_lossz,
           "Also skip a step whose loss lies so many standard deviations above the last 128 steps' mean; 0: never.",
           between(0, train::OutlierWindow::kLargestZ));
  list.add("skip_update_gradz", c.skip_update_gradz, "The same for the gradient's norm; 0: never.",
           between(0, train::OutlierWindow::kLargestZ));
  list.add("logging_steps", c.logging_steps, "Steps between lines of metrics.jsonl.", at_least(1));
  list.add("logging_first_step", c.logging_first_step, "A line for step 1 too.");
  list.add("eval_strategy", c.eval_strategy, "When eval_loss is measured.", one_of({"no", "steps", "epoch"}));
  list.add("eval_steps", c.eval_steps, "With eval_strategy = steps; 0: logging_steps.", at_least(0));
  list.add("per_device_eval_batch_size", c.per_device_eval_batch_size, "Examples that evaluation computes at once.",
           at_least(1));
  list.add("save_strategy", c.save_strategy, "When a checkpoint is written.", one_of({"no", "steps", "epoch"}));
  list.add("save_steps", c.save_steps, "With save_strategy = steps.", at_least(1));
  list.add("save_total_limit", c.save_total_limit, "Keep so many newest checkpoints, and the best; 0: all.",
           at_least(0));
  list.add("load_best_model_at_end", c.load_best_model_at_end,
           "End with the best checkpoint's adapter, not the last's.");
  list.add("metric_for_best_model", c.metric_for_best_model, "What makes a checkpoint the best.");
  list.add("greater_is_better", c.greater_is_better, "Whether more of that metric is better.");
  list.add("deterministic", c.deterministic,
           "The same bits on every number of ranks that divides virtual_shards, with the same threads per rank.");
  list.add(
      "virtual_shards", c.virtual_shards,
      "With deterministic: the parts of a global batch whose gradients are summed in a fixed tree; a power of two.",
      at_least(1));
  list.add("overlap_grad_reduce", c.overlap_grad_reduce,
           "Sum a layer's gradients over the ranks while backward goes on; false: after it.");
  list.add("ddp_timeout", c.ddp_timeout, "Seconds that a rank waits for another before the run ends.", at_least(0.1));
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
  ModelOptions model;
  OptionList list("allreco train",
                  "Fine-tunes a model with LoRA on the training split of a dataset; run it under mpirun.");
  bind(list, model);
  bind(list, job.config);
  bind(list, job.lora);
  bind(list, runtime);
  if (!parse_or_help(list, arguments, session)) return kExitDone;
  apply(runtime, session);
  require_option("model_name_or_path", model.model_name_or_path);
  require_option("dataset", job.config.dataset);
  require_option("output_dir", job.config.output_dir);
  job.model_name_or_path = model.model_name_or_path;
  job.adapter_name_or_path = model.adapter_name_or_path;
  job.dtype = model.dtype;
  job.device = model.device;
  job.allow_gpu_sharing = model.allow_gpu_sharing;
  job.model_loading = model.model_loading;
  job.quantization = model.quantization;
  job.resolved_options = list.as_config();
  session.set_timeout(job.config.ddp_timeout);
  const train::TrainResult result = train::run_training(session, job);
  if (!result.stopped_by_signal) return kExitDone;
  say_how_to_resume(session, result);
  return kExitRequeue;
}

}  // namespace allreco::cli
