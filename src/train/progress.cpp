#include "train/progress.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>

#include "core/log.h"

namespace allreco::train {
namespace {

constexpr auto kRedrawInterval = std::chrono::milliseconds(100);

std::string clock_text(double seconds) {
  const auto total = static_cast<std::int64_t>(std::llround(seconds));
  return fmt::format("{}:{:02d}:{:02d}", total / 3600, total / 60 % 60, total % 60);
}

}  // namespace

std::string progress_line(const ProgressPoint& point, std::int64_t num_steps, double seconds_per_step) {
  constexpr std::int64_t kWidth = 24;
  const auto filled = static_cast<size_t>(num_steps > 0 ? kWidth * point.step / num_steps : kWidth);
  return fmt::format("{}/{} [{}{}] epoch {:.2f} loss {:.4f} {:.0f} tokens/s ETA {}", point.step, num_steps,
                     std::string(filled, '#'), std::string(kWidth - filled, '-'), point.epoch, point.loss,
                     point.tokens_per_second,
                     clock_text(seconds_per_step * static_cast<double>(num_steps - point.step)));
}

Progress::Progress(std::int64_t num_steps, std::int64_t first_step, bool shown)
    : num_steps_(num_steps),
      first_step_(first_step),
      shown_(shown),
      bar_(shown && ::isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()),
      last_draw_(start_ - kRedrawInterval) {}

Progress::~Progress() {
  if (drawn_) std::fputc('\n', stderr);
}

void Progress::step_done(const ProgressPoint& point) {
  const auto now = std::chrono::steady_clock::now();
  if (!bar_ || (now - last_draw_ < kRedrawInterval && point.step < num_steps_)) return;
  last_draw_ = now;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const std::string line = progress_line(point, num_steps_, seconds / static_cast<double>(point.step - first_step_));
  std::fprintf(stderr, "\r\033[K%s", line.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::say_step(const std::string& line) {
  if (!bar_) say(line);
}

void Progress::say(const std::string& line) {
  if (!shown_) return;
  wipe();
  core::log_info("{}", line);
}

void Progress::wipe() {
  if (!drawn_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace allreco::train
