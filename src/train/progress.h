// What a person sees of a run on rank 0: a bar with the time left on a terminal, plain lines elsewhere.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

#include "core/progress_bar.h"

namespace allreco::train {

struct ProgressPoint {
  std::int64_t step = 0;  // completed steps
  double epoch = 0;
  double loss = 0;
  double tokens_per_second = 0;
};

/// "12/300 [##--------] epoch 0.40 loss 4.1234 5210 tokens/s ETA 1:02:03": the text of the bar. `seconds_per_step` is
/// this process's average.
std::string progress_line(const ProgressPoint& point, std::int64_t num_steps, double seconds_per_step);

class Progress {
 public:
  /// `shown`: this process shows progress at all. A bar is drawn where stderr is a terminal.
  Progress(std::int64_t num_steps, std::int64_t first_step, bool shown);

  /// After every step; redraws the bar.
  void step_done(const ProgressPoint& point);
  /// A line for the log (a logged step, an evaluation); the bar is wiped first. Logged steps stay out of a terminal's
  /// log: the bar shows them.
  void say_step(const std::string& line);
  void say(const std::string& line);

 private:
  std::int64_t num_steps_;
  std::int64_t first_step_;
  bool shown_;
  core::ProgressBar bar_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace allreco::train
