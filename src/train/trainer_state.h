// TrainerState: what a run must remember beside the adapter and the optimiser's moments. Saved as trainer_state.json
// (docs/formats.md).
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/store/dataset.h"
#include "model/decoder/weights.h"
#include "train/config.h"
#include "train/log_window.h"
#include "train/run_plan.h"

namespace allreco::train {

struct TrainerState {
  std::int64_t global_step = 0;  // completed steps
  double loss_sum = 0;           // of the completed steps' losses
  std::int64_t num_losses = 0;   // steps with a finite loss
  std::int64_t num_skipped_steps = 0;
  std::int64_t num_skipped_in_a_row = 0;
  std::int64_t num_failed_saves = 0;
  LogWindow window;
  SpikeGuard spikes;
  core::Json log_history =
      core::Json::array();  // as in transformers: step, epoch, loss, grad_norm, learning_rate; step, epoch, eval_loss
  std::optional<double> best_metric;  // of the best checkpoint
  std::string best_model_checkpoint;  // its name in the output directory; empty: none
};

/// What a resumed run must have in common with the one it goes on from, one key each.
core::Json run_identity(const TrainConfig& config, const model::LoraConfig& lora, const RunPlan& plan,
                        const data::DatasetInfo& dataset, const model::BaseModel& base);

/// UserError naming each key whose value differs and what to do about it, unless resume_with_changed holds that key:
/// then the difference is one of those returned, for the log. A key that no run has, or that no run can go on with (the
/// saved moments would not fit), is a UserError too.
std::vector<std::string> require_same_identity(const core::Json& saved, const core::Json& now,
                                               const std::filesystem::path& checkpoint,
                                               const std::vector<std::string>& resume_with_changed);

struct SavedBatch {
  RunPosition start;
  std::int64_t per_device_train_batch_size = 0;
  std::int64_t gradient_accumulation_steps = 0;
  std::int64_t global_batch_size = 0;
  std::int64_t world_size = 0;
};

/// The global batch size of a run that resumes: on another number of ranks, with no global_batch_size given and the
/// other two unchanged, the checkpoint's. A step then takes the samples that it would have taken.
std::int64_t resumed_global_batch_size(const TrainConfig& config, std::int64_t world_size, const SavedBatch& saved);

/// The document: HF's fields, then this program's.
core::Json to_json(const TrainerState& state, const TrainConfig& config, const RunPlan& plan,
                   const core::Json& identity, std::int64_t world_size);
/// The parts of such a document. UserError naming `path` when a field is missing or of another type.
TrainerState state_from_json(const core::Json& document, const std::filesystem::path& path);
SavedBatch batch_from_json(const core::Json& document, const std::filesystem::path& path);
core::Json identity_from_json(const core::Json& document, const std::filesystem::path& path);

}  // namespace allreco::train
