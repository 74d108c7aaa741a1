// Runs of the real trainer in this process, on fixtures: the dataset, the options, and what they leave behind.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/json.h"
#include "train/trainer.h"

namespace allreco::train {

/// Rows of a golden batches.safetensors (micro000.input_ids, ...), then of an eval.safetensors (eval00.input_ids, ...)
/// when given, as a dataset.
void write_golden_dataset(const std::filesystem::path& directory, const std::filesystem::path& batches,
                          const std::filesystem::path& eval);

/// `count` rows of random ids, the same in every call: splits train and validation.
void write_random_dataset(const std::filesystem::path& directory, std::int64_t count);

/// llama-tiny with LoRA r 4 over q, v and down, dropout 0.1, batches of 4, 12 steps.
TrainJob tiny_job(const std::filesystem::path& dataset, const std::filesystem::path& output_dir);

TrainResult run(const TrainJob& job);

/// The lines of OUTPUT_DIR/metrics.jsonl that have `key`.
std::vector<core::Json> lines_with(const std::filesystem::path& output_dir, const std::string& key);

/// metrics.jsonl without what differs from run to run: times and memory.
std::string reproducible_metrics(const std::filesystem::path& output_dir);

}  // namespace allreco::train
