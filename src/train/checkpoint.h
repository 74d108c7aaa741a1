// Checkpoints: OUTPUT_DIR/checkpoint-N, which exists whole or not at all. Rank 0 writes and reads; nothing here is
// collective.
//
// - adapter_model.safetensors, adapter_config.json: the adapter, as PEFT reads it
// - optimizer.safetensors: F32 exp_avg.<PEFT name>, exp_avg_sq.<PEFT name>, or what adamw8bit.h says; metadata
//   num_updates
// - trainer_state.json: see trainer_state.h
// - SHA256SUMS of the four, written last; `sha256sum -c` reads it
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "model/checkpoint/safetensors.h"
#include "model/lora/adapter.h"
#include "model/lora/lora.h"
#include "train/optimizer.h"

namespace allreco::train {

/// "checkpoint-N"
std::string checkpoint_name(std::int64_t step);
/// N of "checkpoint-N"; none for any other name.
std::optional<std::int64_t> checkpoint_step(const std::string& name);

/// What goes into one, beside the state document.
struct CheckpointContents {
  const model::LoraStore& store;  // only its layout and configuration are read
  at::Tensor parameters, frozen_pair;
  std::vector<model::NamedTensor> optimizer_state;
  std::int64_t num_updates = 0;
  model::AdapterOrigin origin;
};

/// A copy in host memory, so that training may go on while it is written. `store` must outlive it.
CheckpointContents snapshot_of(const model::LoraStore& store, const Optimizer& optimizer, model::AdapterOrigin origin);

/// Writes OUTPUT_DIR/checkpoint-N.tmp, syncs it and renames it; one of that name is replaced. Then OUTPUT_DIR/last
/// points to it. UserError (a full disk, ...) leaves no trace.
void save_checkpoint(const std::filesystem::path& output_dir, std::int64_t step, const CheckpointContents& contents,
                     const core::Json& state);

/// Points OUTPUT_DIR/<link> (last, best) to the checkpoint `name`, atomically.
void update_link(const std::filesystem::path& output_dir, const std::string& link, const std::string& name);

/// Why the directory is no whole checkpoint (a file is missing, cut short or changed); none: it is one.
std::optional<std::string> damage_of(const std::filesystem::path& checkpoint);

/// The whole checkpoint with the largest step. Damaged ones are skipped with a warning.
std::optional<std::filesystem::path> newest_whole_checkpoint(const std::filesystem::path& output_dir);

/// Deletes the oldest checkpoints until `limit` are left (0: no limit); never what `last` or `best` point to. What
/// cannot be deleted stays, with a warning.
void delete_old_checkpoints(const std::filesystem::path& output_dir, std::int64_t limit);

/// Removes what an interrupted save left behind (also files and links that were not yet renamed), and puts back a
/// checkpoint that it was about to replace. What cannot be removed stays, with a warning.
void clean_up_interrupted_saves(const std::filesystem::path& output_dir);

/// Puts the adapter and the moments of a whole checkpoint into `store` and `optimizer`. UserError naming file and
/// tensor when they do not fit.
void load_checkpoint(const std::filesystem::path& checkpoint, model::LoraStore& store, Optimizer& optimizer);

}  // namespace allreco::train
