// TrainConfig: what a training run is asked to do, in the names of Hugging Face's TrainingArguments where they have
// one. options() says what each field means and may hold.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/options.h"
#include "dist/gradient_reducer.h"
#include "dist/timeout_option.h"
#include "eval/base_model.h"
#include "eval/training_metrics.h"
#include "model/lora/lora.h"
#include "train/optimizer.h"
#include "train/schedule.h"
#include "train/spike_guard.h"

namespace allreco::train {

inline constexpr double kMostSteps = 1e9;  // of a run: far above any, and no product with it overflows

struct TrainConfig {
  std::string dataset;
  std::string train_split = "train";
  std::string eval_split = "validation";
  std::string output_dir;
  bool overwrite_output_dir = false;
  std::string resume_from_checkpoint;
  std::vector<std::string> resume_with_changed;

  std::int64_t per_device_train_batch_size = 8;
  std::int64_t gradient_accumulation_steps = 1;
  std::int64_t global_batch_size = 0;
  double num_train_epochs = 3;
  std::int64_t max_steps = -1;
  bool shuffle_dataset = true;
  std::uint64_t seed = 42;
  std::int64_t dataloader_num_workers = -1;
  bool dataloader_pin_memory = true;

  double learning_rate = 2e-4;
  std::string lr_scheduler_type = "linear";
  std::int64_t warmup_steps = 0;
  double warmup_ratio = 0;  // rounded up to steps
  double min_lr = -1;
  double min_lr_rate = -1;
  std::string optim = "adamw_torch";
  double loraplus_lr_ratio = 0;
  double weight_decay = 0;
  double adam_beta1 = 0.9;
  double adam_beta2 = 0.999;
  double adam_epsilon = 1e-8;
  double max_grad_norm = 1.0;
  bool gradient_checkpointing = false;
  std::int64_t max_skipped_steps = 10;
  double skip_update_lossz = 0;
  double skip_update_gradz = 0;

  std::int64_t logging_steps = 10;
  bool logging_first_step = false;
  std::string eval_strategy = "no";
  std::int64_t eval_steps = 0;
  std::int64_t per_device_eval_batch_size = 8;  // evaluation packs as many tokens as this many longest examples have
  std::string save_strategy = "steps";
  std::int64_t save_steps = 500;
  std::int64_t save_total_limit = 0;
  bool load_best_model_at_end = false;
  std::string metric_for_best_model = "loss";
  std::string greater_is_better = "auto";
  std::int64_t max_eval_samples = 0;
  std::int64_t early_stopping_patience = 0;
  double early_stopping_threshold = 0;

  bool deterministic = false;
  std::int64_t virtual_shards = 8;
  bool overlap_grad_reduce = true;
  std::int64_t nccl_max_ctas = 0;
  std::int64_t replica_check_steps = 100;
  double ddp_timeout = 600;

  core::OptionGroups options() {
    using core::above_to, core::between, core::from_below, core::special_or;
    return {
        {"Data and output",
         {{"dataset", dataset, "A dataset directory that `allreco prepare` wrote."},
          {"train_split", train_split, "The split to learn from."},
          {"eval_split", eval_split, "The split for eval_loss and metric_for_best_model."},
          {"output_dir", output_dir,
           "Where the run writes; another run may not lie there, unless this one resumes it."},
          {"overwrite_output_dir", overwrite_output_dir, "Delete what an earlier run left in output_dir."},
          {"resume_from_checkpoint", resume_from_checkpoint,
           "auto: the newest whole checkpoint, if any; last; or a checkpoint directory. Empty: start anew."},
          {"resume_with_changed", resume_with_changed,
           "What may differ from the run resumed, by the names in the refusal: learning_rate,num_steps, for "
           "example."}}},
        {"Batches and length",
         {{"per_device_train_batch_size", per_device_train_batch_size, between(1, 1e6),
           "Examples that a rank computes at once (a micro-batch); speed and memory only when global_batch_size is "
           "given."},
          {"gradient_accumulation_steps", gradient_accumulation_steps, between(1, 1e6),
           "Micro-batches of a rank per step."},
          {"global_batch_size", global_batch_size, between(0, 1e9),
           "Examples per step over all ranks; 0: the two above times the number of ranks."},
          {"num_train_epochs", num_train_epochs, above_to(0, 1e6),
           "Passes over the training split; fractions allowed."},
          {"max_steps", max_steps, special_or(-1, between(1, kMostSteps)),
           "Optimiser steps; -1: from num_train_epochs."},
          {"shuffle_dataset", shuffle_dataset, "A new order each epoch, from the seed; false: the order of the file."},
          {"seed", seed, "Seed of the sample order, LoRA's start and dropout."},
          {"dataloader_num_workers", dataloader_num_workers, between(-1, 1),
           "1: a thread reads and packs the coming micro-batches while the step computes; 0: the step does; -1: 1 on a "
           "GPU, else 0."},
          {"dataloader_pin_memory", dataloader_pin_memory,
           "On a GPU: hand batches over in page-locked memory, so that the copy runs beside other work."}}},
        {"Optimiser",
         {{"learning_rate", learning_rate, above_to(0, 1e39), "The peak learning rate."},
          {"lr_scheduler_type", lr_scheduler_type, schedule_type_names(), "How the rate changes over the run."},
          {"warmup_steps", warmup_steps, between(0, kMostSteps), "Steps over which the rate climbs from 0."},
          {"warmup_ratio", warmup_ratio, between(0, 1),
           "The same as a share of all steps; counts when warmup_steps is 0."},
          {"min_lr", min_lr, special_or(-1, between(0, 1000)), "cosine_with_min_lr: the lowest rate; -1: not given."},
          {"min_lr_rate", min_lr_rate, special_or(-1, between(0, 1)),
           "cosine_with_min_lr: the lowest rate as a share of the peak; -1: not given."},
          {"optim",
           optim,
           {"adamw_torch", "adamw_8bit", "adamw_bnb_8bit"},
           "The optimiser: torch's AdamW, or bitsandbytes' with 8-bit moments (adamw_bnb_8bit is the same)."},
          {"loraplus_lr_ratio", loraplus_lr_ratio, between(0, 1e6),
           "LoRA+: the B factors learn with this times the learning rate, often 4 to 16; 0: off."},
          {"weight_decay", weight_decay, between(0, 1e6), "AdamW's decoupled weight decay, on every LoRA factor."},
          {"adam_beta1", adam_beta1, from_below(0, 1), "Decay of the gradient's mean."},
          {"adam_beta2", adam_beta2, from_below(0, 1), "Decay of the squared gradient's mean."},
          {"adam_epsilon", adam_epsilon, between(0, 1), "Added to the root of the latter."},
          {"max_grad_norm", max_grad_norm, between(0, 1e12), "Longer gradients are scaled down to it; 0: never."},
          {"gradient_checkpointing", gradient_checkpointing,
           "Keep only the blocks' inputs and compute the rest again: less memory, more time."},
          {"max_skipped_steps", max_skipped_steps, between(0, kMostSteps),
           "Skipped steps in a row after which the run ends; skipped: loss or gradient not finite."},
          {"skip_update_lossz", skip_update_lossz, between(0, OutlierWindow::kLargestZ),
           "Also skip a step whose loss lies so many standard deviations above the last 128 steps' mean; 0: never."},
          {"skip_update_gradz", skip_update_gradz, between(0, OutlierWindow::kLargestZ),
           "The same for the gradient's norm; 0: never."}}},
        {"Log, evaluation and checkpoints",
         {{"logging_steps", logging_steps, between(1, kMostSteps), "Steps between lines of metrics.jsonl."},
          {"logging_first_step", logging_first_step, "A line for step 1 too."},
          {"eval_strategy", eval_strategy, {"no", "steps", "epoch"}, "When eval_split is measured."},
          {"eval_steps", eval_steps, between(0, kMostSteps), "With eval_strategy = steps; 0: logging_steps."},
          {"per_device_eval_batch_size", per_device_eval_batch_size, between(1, 1e6),
           "Examples that evaluation computes at once."},
          {"save_strategy", save_strategy, {"no", "steps", "epoch"}, "When a checkpoint is written."},
          {"save_steps", save_steps, between(1, kMostSteps), "With save_strategy = steps."},
          {"save_total_limit", save_total_limit, between(0, 1e6),
           "Keep so many checkpoints, the newest and the best; 0: all."},
          {"load_best_model_at_end", load_best_model_at_end, "End with the best checkpoint's adapter, not the last's."},
          {"metric_for_best_model", metric_for_best_model, metric_choices(),
           "What makes a checkpoint the best, and is measured beside the loss; with or without eval_ in front. "
           "accuracy: among the examples' candidates; hit_rate@10, ndcg@10, mrr: in the whole catalogue."},
          {"greater_is_better",
           greater_is_better,
           {"auto", "true", "false"},
           "Whether more of that metric is better; auto: of all but the loss."},
          {"max_eval_samples", max_eval_samples, between(0, 1e12),
           "Evaluate the first so many examples of eval_split; 0: all."},
          {"early_stopping_patience", early_stopping_patience, between(0, kMostSteps),
           "End after so many evaluations in a row without a gain in metric_for_best_model; 0: never."},
          {"early_stopping_threshold", early_stopping_threshold, between(0, 1e6),
           "A gain of no more than this is none."}}},
        {"Ranks",
         {{"deterministic", deterministic,
           "The same bits on every number of ranks that divides virtual_shards, with the same threads per rank."},
          {"virtual_shards", virtual_shards, between(1, 4096),
           "With deterministic: the parts of a global batch whose gradients are summed in a fixed tree; a power of "
           "two."},
          {"overlap_grad_reduce", overlap_grad_reduce,
           "Sum a layer's gradients over the ranks while backward goes on; false: after it."},
          {"nccl_max_ctas", nccl_max_ctas, between(0, 64),
           "On GPUs: the most thread blocks that NCCL's kernels take from the computation beside them; 0: NCCL's own "
           "choice."},
          {"replica_check_steps", replica_check_steps, between(0, kMostSteps),
           "Steps between two comparisons of all ranks' parameters, of which a difference ends the run naming the "
           "rank; 0: never."},
          dist::timeout_option(ddp_timeout)}}};
  }

  /// Without eval_ in front.
  std::string best_metric_name() const {
    return metric_for_best_model.starts_with("eval_") ? metric_for_best_model.substr(5) : metric_for_best_model;
  }
  bool more_is_better() const {
    return greater_is_better == "auto" ? eval::greater_is_better(best_metric_name()) : greater_is_better == "true";
  }
  static core::Choices metric_choices() {
    core::Choices choices = eval::training_metric_names();
    for (const std::string& name : eval::training_metric_names()) choices.push_back("eval_" + name);
    return choices;
  }
  std::int64_t eval_interval() const { return eval_steps > 0 ? eval_steps : logging_steps; }
  dist::SumOrder sum_order() const { return deterministic ? dist::SumOrder::tree : dist::SumOrder::fastest; }
  SpikeLimits spike_limits() const { return {skip_update_lossz, skip_update_gradz}; }
  AdamWConfig adamw() const { return {adam_beta1, adam_beta2, adam_epsilon, weight_decay, loraplus_lr_ratio}; }
  /// The learning rates of a run of `num_steps` steps. REQUIRES a valid config.
  Schedule schedule(std::int64_t num_steps) const;
};

/// What no single option can say of itself as well: what goes together. UserError naming the options.
void validate(const TrainConfig& config);

/// All that a run needs.
struct TrainJob {
  TrainConfig config;
  eval::BaseModelOptions base;
  std::string adapter_name_or_path;  // whose LoRA configuration then counts; empty: `lora`
  model::LoraConfig lora;
  std::string resolved_options;  // key = value lines: becomes OUTPUT_DIR/config.cfg
};

}  // namespace allreco::train
