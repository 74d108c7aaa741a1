#include "core/progress_bar.h"

#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstdio>

#include "core/log.h"

namespace allreco::core {
using namespace std::chrono_literals;

std::string clock_text(double seconds) {
  const auto total = static_cast<std::int64_t>(std::llround(seconds));
  return fmt::format("{}:{:02d}:{:02d}", total / 3600, total / 60 % 60, total % 60);
}

ProgressBar::ProgressBar(bool shown, Elsewhere elsewhere)
    : is_terminal_(shown && ::isatty(STDERR_FILENO) == 1),
      shown_(is_terminal_ || (shown && elsewhere == Elsewhere::log)),
      last_(std::chrono::steady_clock::now()) {}

ProgressBar::~ProgressBar() { wipe(); }

void ProgressBar::update(const std::function<std::string()>& line) {
  if (!shown_) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - last_ < (is_terminal_ ? 100ms : 10s)) return;
  last_ = now;
  if (!is_terminal_) return log_info("{}", line());
  draw(line());
}

void ProgressBar::finish(const std::function<std::string()>& line) {
  if (!is_terminal_) return;
  draw(line());
  std::fputc('\n', stderr);
  is_drawn_ = false;
}

void ProgressBar::draw(const std::string& line) {
  std::fprintf(stderr, "\r\033[K%s", line.c_str());
  std::fflush(stderr);
  is_drawn_ = true;
}

void ProgressBar::wipe() {
  if (!is_drawn_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  is_drawn_ = false;
}

}  // namespace allreco::core
