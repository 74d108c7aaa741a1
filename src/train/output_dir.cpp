#include "train/output_dir.h"

#include <algorithm>
#include <array>

#include "core/check.h"
#include "core/files.h"
#include "train/checkpoint.h"

namespace allreco::train {
namespace fs = std::filesystem;

namespace {

constexpr std::array kNames{
    "config.cfg",         "metrics.jsonl",   "adapter_model.safetensors", "adapter_config.json", "last",       "best",
    "train_results.json", "evaluation.json", "predictions.jsonl",         "report.html",         "report.json"};
constexpr std::array kPrefixes{"checkpoint-", "events.out.tfevents."};

/// A table beside report.html.
bool is_report_table(const std::string& name) { return name.starts_with("report-") && name.ends_with(".csv"); }

bool belongs_to_a_run(const std::string& name) {
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end() || is_report_table(name) ||
         std::any_of(kPrefixes.begin(), kPrefixes.end(), [&](const char* prefix) { return name.starts_with(prefix); });
}

/// A run that ended before its first checkpoint has nothing to lose.
bool holds_weights(const std::string& name) { return name.starts_with("checkpoint-") || name.starts_with("adapter_"); }

void refuse_another_run(const fs::path& output_dir) {
  const auto files = files_of_a_run(output_dir);
  if (files.empty()) return;
  core::user_error(
      "output_dir = {} already holds a run (found {}): choose another directory, go on with resume_from_checkpoint = "
      "auto, or delete that run with overwrite_output_dir = true",
      output_dir.string(), files.front());
}

/// resume_from_checkpoint = auto
std::optional<fs::path> newest_or_fresh(const fs::path& output_dir) {
  if (const auto newest = newest_whole_checkpoint(output_dir)) return newest;
  const auto files = files_of_a_run(output_dir);
  const auto found = std::find_if(files.begin(), files.end(), holds_weights);
  if (found != files.end()) {
    core::user_error(
        "output_dir = {} holds {} but no whole checkpoint to resume from: choose another directory, or start anew with "
        "overwrite_output_dir = true and without resume_from_checkpoint",
        output_dir.string(), *found);
  }
  return std::nullopt;  // nothing yet, or a run that ended before its first checkpoint
}

bool is_inside(const fs::path& checkpoint, const fs::path& output_dir) {
  std::error_code error;
  const bool same = fs::equivalent(fs::canonical(checkpoint).parent_path(), output_dir, error);
  return same && !error;
}

}  // namespace

std::vector<std::string> files_of_a_run(const fs::path& output_dir) {
  std::vector<std::string> names;
  if (fs::exists(output_dir) && !fs::is_directory(output_dir)) {
    core::user_error("output_dir = {} is a file: give a directory", output_dir.string());
  }
  if (!fs::is_directory(output_dir)) return names;
  for (const fs::directory_entry& entry : fs::directory_iterator(output_dir)) {
    const std::string name = entry.path().filename().string();
    if (belongs_to_a_run(name)) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::optional<fs::path> choose_start(const TrainConfig& config) {
  const fs::path output_dir = config.output_dir;
  const std::string& wanted = config.resume_from_checkpoint;
  if (wanted.empty()) {
    if (!config.overwrite_output_dir) refuse_another_run(output_dir);
    return std::nullopt;
  }
  clean_up_interrupted_saves(output_dir);
  if (wanted == "auto") return newest_or_fresh(output_dir);
  const fs::path checkpoint = wanted == "last" ? output_dir / "last" : fs::path(wanted);
  if (const auto damage = damage_of(checkpoint)) {
    core::user_error(
        "resume_from_checkpoint = {}: cannot resume from {}: {}. Give auto for the newest whole checkpoint in "
        "output_dir, or another checkpoint directory",
        wanted, checkpoint.string(), *damage);
  }
  const auto files = files_of_a_run(output_dir);
  if (!is_inside(checkpoint, output_dir) && std::any_of(files.begin(), files.end(), holds_weights))
    refuse_another_run(output_dir);
  return fs::canonical(checkpoint);
}

void open_output_dir(const TrainConfig& config, bool resumes, const std::string& resolved_options) {
  const fs::path output_dir = config.output_dir;
  core::make_directory(output_dir);
  if (!resumes) {
    for (const std::string& name : files_of_a_run(output_dir)) fs::remove_all(output_dir / name);
  }
  core::write_file_atomically(output_dir / "config.cfg", resolved_options);
}

void copy_adapter(const fs::path& checkpoint, const fs::path& output_dir) {
  for (const char* name : {"adapter_model.safetensors", "adapter_config.json"}) {
    core::write_atomically(output_dir / name, [&](const fs::path& temporary) {
      core::copy_file(checkpoint / name, temporary, (output_dir / name).string());
    });
  }
}

}  // namespace allreco::train
