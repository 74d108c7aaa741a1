// LogWindow: what has happened since the last line of metrics.jsonl.
#pragma once
#include <cstdint>

#include "train/train_step.h"

namespace allreco::train {

struct LogWindow {
  // These come back after a resume, so that the next line is the one an unstopped run would write.
  double loss_sum = 0;  // of the steps' mean losses
  std::int64_t num_losses = 0;
  std::int64_t num_steps = 0;
  std::int64_t tokens = 0;
  std::int64_t supervised_tokens = 0;
  // These cover the steps of this process only.
  std::int64_t num_timed_steps = 0;
  std::int64_t timed_tokens = 0;
  StepTimes times;  // sums

  void add(const StepReport& report) {
    if (!report.skipped()) {
      loss_sum += report.loss;
      ++num_losses;
    }
    ++num_steps;
    ++num_timed_steps;
    tokens += report.tokens;
    supervised_tokens += report.supervised_tokens;
    timed_tokens += report.tokens;
    times.step_ms += report.times.step_ms;
    times.compute_ms += report.times.compute_ms;
    times.communication_exposed_ms += report.times.communication_exposed_ms;
    times.data_wait_ms += report.times.data_wait_ms;
  }
};

}  // namespace allreco::train
