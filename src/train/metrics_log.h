// metrics.jsonl: one JSON object a line, in the order of the steps. Rank 0 only; one writer.
#pragma once
#include <cstdint>
#include <filesystem>

#include "core/json.h"
#include "train/append_file.h"

namespace allreco::train {

class MetricsLog {
 public:
  /// Opens `path` for appending. Lines of steps after `last_step` (a stopped run's future) and a line that was cut
  /// short are dropped first, atomically; -1 drops all. A line's step is its "step" field.
  MetricsLog(const std::filesystem::path& path, std::int64_t last_step);

  /// Adds a line and hands it to the system before it returns. Numbers that are not finite become null. False: the disk
  /// refused, and the line waits in memory for the next call.
  bool append(const core::Json& line);
  /// UserError when lines are still waiting and the disk still refuses them.
  void finish() { file_.finish(); }

 private:
  AppendFile file_;
};

}  // namespace allreco::train
