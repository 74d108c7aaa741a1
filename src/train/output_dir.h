// The output directory of a run: whether it may be used, where a resumed run goes on, and what a run starts and ends
// with. Rank 0 only.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "train/config.h"

namespace allreco::train {

/// Names in `output_dir` that a run writes, sorted; empty when there are none or no such directory.
std::vector<std::string> files_of_a_run(const std::filesystem::path& output_dir);

/// The checkpoint that this run goes on from; none: it starts anew. Changes nothing except to clean up after an
/// interrupted save. UserError when the directory holds another run that was not to be touched, or when the checkpoint
/// that was asked for is missing or damaged.
std::optional<std::filesystem::path> choose_start(const TrainConfig& config);

/// Makes the directory, deletes what an earlier run left unless this run resumes, and writes config.cfg.
void open_output_dir(const TrainConfig& config, bool resumes, const std::string& resolved_options);

/// Copies the adapter of a checkpoint to OUTPUT_DIR.
void copy_adapter(const std::filesystem::path& checkpoint, const std::filesystem::path& output_dir);

}  // namespace allreco::train
