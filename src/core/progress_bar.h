// A line of progress that is drawn again and again on a terminal, and told to the log now and then elsewhere.
#pragma once
#include <chrono>
#include <functional>
#include <string>

namespace allreco::core {

/// "1:02:03".
std::string clock_text(double seconds);

class ProgressBar {
 public:
  /// `shown`: this process shows progress at all.
  explicit ProgressBar(bool shown);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// Calls `line` where it is time to show one: ten times a second on a terminal, else each ten seconds. Cheap.
  void update(const std::function<std::string()>& line);
  /// Wipes the line, so that something else can be said.
  void wipe();

 private:
  bool shown_;
  bool is_terminal_;
  bool is_drawn_ = false;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace allreco::core
