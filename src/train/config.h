// TrainConfig: what a training run is asked to do, in the names of Hugging Face's TrainingArguments where they have
// one.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "model/checkpoint/quantization.h"
#include "model/lora/lora.h"
#include "train/optimizer.h"
#include "train/schedule.h"
#include "train/spike_guard.h"

namespace allreco::train {

struct TrainConfig {
  // data and place
  std::string dataset;                    // a directory that `prepare` wrote
  std::string train_split = "train";      // the split to learn from
  std::string eval_split = "validation";  // the split for eval_loss
  std::string output_dir;                 // where the run writes; a new directory, or an empty one, unless it resumes
  bool overwrite_output_dir = false;      // delete what an earlier run left in output_dir
  std::string resume_from_checkpoint;     // empty: start anew; auto: the newest whole checkpoint if any; last; or a
                                          // checkpoint directory
  std::vector<std::string> resume_with_changed;  // what may differ from the run resumed: keys that the refusal names
  // batch and length
  std::int64_t per_device_train_batch_size = 8;  // most examples a rank computes at once (a micro-batch)
  std::int64_t gradient_accumulation_steps = 1;  // micro-batches a rank and optimiser step
  std::int64_t global_batch_size = 0;  // examples an optimiser step; 0: the two above times the number of ranks
  double num_train_epochs = 3;         // passes over the training split; fractions allowed
  std::int64_t max_steps = -1;         // optimiser steps; -1: from num_train_epochs
  bool shuffle_dataset = true;         // a new order each epoch; false: the order of the file
  std::uint64_t seed = 42;             // of the order, the LoRA start and dropout
  std::int64_t dataloader_num_workers =
      -1;  // 1: a thread reads and packs the coming micro-batches; 0: the step does; -1: 1 on a GPU, else 0
  bool dataloader_pin_memory = true;  // on a GPU: from page-locked memory, so that copies run beside the work
  // optimiser
  double learning_rate = 2e-4;               // the peak
  std::string lr_scheduler_type = "linear";  // linear, cosine, constant, constant_with_warmup, cosine_with_min_lr
  std::int64_t warmup_steps = 0;             // steps during which the rate climbs from 0
  double warmup_ratio = 0;            // the same as a share of all steps, rounded up; used when warmup_steps is 0
  double min_lr = -1;                 // cosine_with_min_lr: the lowest rate; -1: not given
  double min_lr_rate = -1;            // cosine_with_min_lr: the lowest rate as a share of learning_rate; -1: not given
  std::string optim = "adamw_torch";  // the optimiser: adamw_torch, or adamw_8bit (also called adamw_bnb_8bit)
  double loraplus_lr_ratio = 0;       // LoRA+: the B factors learn with this times the learning rate; 0: off
  double weight_decay = 0;            // AdamW's decoupled decay, on all LoRA factors
  double adam_beta1 = 0.9;            // decay of the gradient's mean
  double adam_beta2 = 0.999;          // decay of the squared gradient's mean
  double adam_epsilon = 1e-8;         // added to the root of the latter
  double max_grad_norm = 1.0;         // gradients longer than this are scaled down to it; 0: never
  bool gradient_checkpointing =
      false;  // keep only the blocks' inputs and compute the rest again in backward: less memory, more time
  std::int64_t max_skipped_steps =
      10;  // so many skipped steps in a row end the run; skipped: loss or gradient not finite
  double skip_update_lossz =
      0;  // also skip a step whose loss lies more standard deviations above the last 128; 0: never
  double skip_update_gradz = 0;  // the same for the gradient's norm
  // logging, evaluation, saving
  std::int64_t logging_steps = 10;              // steps between two lines of metrics.jsonl
  bool logging_first_step = false;              // a line for step 1 too
  std::string eval_strategy = "no";             // no, steps or epoch: when eval_loss is measured
  std::int64_t eval_steps = 0;                  // with eval_strategy steps; 0: as logging_steps
  std::int64_t per_device_eval_batch_size = 8;  // evaluation packs as many tokens as this many longest examples have
  std::string save_strategy = "steps";          // no, steps or epoch: when a checkpoint is written
  std::int64_t save_steps = 500;                // with save_strategy steps
  std::int64_t save_total_limit = 0;            // keep this many newest checkpoints, and the best; 0: all
  bool load_best_model_at_end = false;  // the adapter in output_dir is the best checkpoint's instead of the last step's
  std::string metric_for_best_model = "eval_loss";  // what makes a checkpoint the best
  bool greater_is_better = false;                   // direction of that metric
  // ranks
  bool deterministic = false;       // the same bits for every world size that divides virtual_shards
  std::int64_t virtual_shards = 8;  // with deterministic: the parts that a global batch is cut into, a power of two
  bool overlap_grad_reduce = true;  // sum a layer's gradients over the ranks while backward goes on
  double ddp_timeout = 600;         // seconds that a rank waits for another before the run ends

  std::int64_t eval_interval() const { return eval_steps > 0 ? eval_steps : logging_steps; }
  SpikeLimits spike_limits() const { return {skip_update_lossz, skip_update_gradz}; }
  AdamWConfig adamw() const { return {adam_beta1, adam_beta2, adam_epsilon, weight_decay, loraplus_lr_ratio}; }
  /// The learning rates of a run of `num_steps` steps. REQUIRES a valid config.
  Schedule schedule(std::int64_t num_steps) const;
};

/// UserError naming key, value, allowed range or the other key that it does not go with.
void validate(const TrainConfig& config);

/// All that a run needs.
struct TrainJob {
  TrainConfig config;
  std::string model_name_or_path;      // a Hugging Face directory, or random:<shape>
  std::string dtype = "auto";          // auto, float32 or bfloat16
  std::string device = "cpu";          // auto, cpu or cuda: see model/device.h
  std::string model_loading = "mmap";  // mmap or broadcast: see eval/base_model.h
  model::Quantization quantization;    // of a dense base
  bool allow_gpu_sharing = false;      // several ranks may compute on one GPU: see dist/gpu_placement.h
  std::string
      adapter_name_or_path;  // start from this PEFT directory, whose LoRA configuration then counts; empty: from `lora`
  model::LoraConfig lora;
  std::string resolved_options;  // key = value lines: becomes OUTPUT_DIR/config.cfg
};

}  // namespace allreco::train
