// RunLog: where a run's numbers go on rank 0: metrics.jsonl, TensorBoard, the progress bar or the log. Other ranks hold
// one that does nothing.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "core/json.h"
#include "train/metrics_log.h"
#include "train/progress.h"
#include "train/tensorboard.h"

namespace allreco::train {

class RunLog {
 public:
  /// `completed_steps`: 0 for a new run; lines and points after it are dropped. REQUIRES the directory, on the leader.
  RunLog(const std::filesystem::path& output_dir, std::int64_t completed_steps, std::int64_t num_steps, bool is_leader);

  void step_done(const ProgressPoint& point) { progress_.step_done(point); }
  /// One line of metrics.jsonl, whose numbers also become TensorBoard curves: eval_x as eval/x, others as train/x.
  /// While the disk refuses, lines wait in memory, with a warning.
  void write(const core::Json& line);
  /// UserError when the disk still refuses them.
  void finish();
  void say(const std::string& text) { progress_.say(text); }

 private:
  std::optional<MetricsLog> metrics_;
  std::optional<TensorBoardWriter> curves_;
  Progress progress_;
  bool refused_ = false;  // by the disk, the last time
};

}  // namespace allreco::train
