// metrics.jsonl: one JSON object a line, in the order of the steps. Rank 0 only; one writer.
#pragma once
#include <cstdint>
#include <filesystem>
#include <fstream>

#include "core/json.h"

namespace allreco::train {

class MetricsLog {
 public:
  /// Opens `path` for appending. Lines of steps after `last_step` (a stopped run's future) and a line that was cut
  /// short are dropped first, atomically; -1 drops all. A line's step is its "step" field.
  MetricsLog(std::filesystem::path path, std::int64_t last_step);

  /// Writes one line and hands it to the system before it returns. Numbers that are not finite become null. UserError
  /// when the disk is full.
  void append(const core::Json& line);

 private:
  std::filesystem::path path_;
  std::ofstream stream_;
};

}  // namespace allreco::train
