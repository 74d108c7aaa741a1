#include "train/progress.h"

#include "core/log.h"

namespace allreco::train {

std::string progress_line(const ProgressPoint& point, std::int64_t num_steps, double seconds_per_step) {
  constexpr std::int64_t kWidth = 24;
  const auto filled = static_cast<size_t>(num_steps > 0 ? kWidth * point.step / num_steps : kWidth);
  return fmt::format("{}/{} [{}{}] epoch {:.2f} loss {:.4f} {:.0f} tokens/s ETA {}", point.step, num_steps,
                     std::string(filled, '#'), std::string(kWidth - filled, '-'), point.epoch, point.loss,
                     point.tokens_per_second,
                     core::clock_text(seconds_per_step * static_cast<double>(num_steps - point.step)));
}

Progress::Progress(std::int64_t num_steps, std::int64_t first_step, bool shown)
    : num_steps_(num_steps),
      first_step_(first_step),
      shown_(shown),
      bar_(shown, core::ProgressBar::Elsewhere::nothing),
      start_(std::chrono::steady_clock::now()) {}

void Progress::step_done(const ProgressPoint& point) {
  const auto line = [&] {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    return progress_line(point, num_steps_, seconds / static_cast<double>(point.step - first_step_));
  };
  if (point.step < num_steps_)
    bar_.update(line);
  else
    bar_.finish(line);
}

void Progress::say_step(const std::string& line) {
  if (!bar_.is_terminal()) say(line);
}

void Progress::say(const std::string& line) {
  if (!shown_) return;
  bar_.wipe();
  core::log_info("{}", line);
}

}  // namespace allreco::train
