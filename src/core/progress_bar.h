// A line of progress that is drawn again and again on a terminal; elsewhere the log may be told now and then.
#pragma once
#include <chrono>
#include <functional>
#include <string>

namespace allreco::core {

/// "1:02:03".
std::string clock_text(double seconds);

class ProgressBar {
 public:
  /// What is shown where there is no terminal.
  enum class Elsewhere { log, nothing };

  /// `shown`: this process shows progress at all.
  explicit ProgressBar(bool shown, Elsewhere elsewhere = Elsewhere::log);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  bool is_terminal() const { return is_terminal_; }
  /// Calls `line` where it is time to show one: ten times a second on a terminal, else each ten seconds. Cheap.
  void update(const std::function<std::string()>& line);
  /// The last line: always drawn on a terminal, where it stays.
  void finish(const std::function<std::string()>& line);
  /// Wipes the line, so that something else can be said.
  void wipe();

 private:
  void draw(const std::string& line);

  bool is_terminal_;
  bool shown_;
  bool is_drawn_ = false;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace allreco::core
