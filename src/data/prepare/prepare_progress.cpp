#include "data/prepare/prepare_progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace allreco::data {

void PrepareProgress::begin(std::string_view phase, double total, std::string_view unit, double unit_size, int ranks) {
  bar_.wipe();
  phase_ = phase;
  unit_ = unit;
  total_ = total;
  unit_size_ = unit_size;
  ranks_ = ranks;
  start_ = Clock::now();
}

void PrepareProgress::show(double done, double tokens) {
  bar_.update([&] { return line(done, tokens); });
}

std::string PrepareProgress::line(double done, double tokens) const {
  constexpr double kWidth = 24;
  const double seconds = std::max(1e-3, std::chrono::duration<double>(Clock::now() - start_).count());
  const double rate = done / seconds, share = total_ > 0 ? std::min(1.0, done / total_) : 0;
  const auto filled = static_cast<std::size_t>(kWidth * share);
  std::string text =
      fmt::format("{} [{}{}] {:.0f} {}", phase_, std::string(filled, '#'),
                  std::string(static_cast<std::size_t>(kWidth) - filled, '-'), done * ranks_ / unit_size_, unit_);
  if (total_ > 0) text += fmt::format(" of {:.0f}", total_ * ranks_ / unit_size_);
  text += fmt::format(", {:.1f} {}/s", rate * ranks_ / unit_size_, unit_);
  if (tokens > 0) text += fmt::format(", {:.0f} tokens/s", tokens * ranks_ / seconds);
  if (total_ > 0 && rate > 0) text += " ETA " + core::clock_text(std::max(0.0, total_ - done) / rate);
  return text;
}

void PrepareProgress::add(std::string_view name, double seconds) {
  const auto found =
      std::find_if(seconds_.begin(), seconds_.end(), [&](const auto& entry) { return entry.first == name; });
  if (found == seconds_.end())
    seconds_.emplace_back(name, seconds);
  else
    found->second += seconds;
}

std::string PrepareProgress::times(PrepareRanks& ranks) const {
  constexpr double kMillisecondsOfSecond = 1e3;
  std::vector<std::int64_t> least, most;  // milliseconds
  for (const auto& [name, seconds] : seconds_) {
    least.push_back(std::llround(seconds * kMillisecondsOfSecond));
    most.push_back(-least.back());
  }
  ranks.all_min(least);
  ranks.all_min(most);
  std::string text;
  for (std::size_t i = 0; i < seconds_.size(); ++i) {
    const auto shown = [](std::int64_t ms) {
      return fmt::format("{:.1f}", static_cast<double>(ms) / kMillisecondsOfSecond);
    };
    const std::string shortest = shown(least[i]), longest = shown(-most[i]);
    text += fmt::format("{}{} {}{} s", text.empty() ? "" : ", ", seconds_[i].first,
                        shortest == longest ? "" : shortest + " to ", longest);
  }
  return text;
}

}  // namespace allreco::data
