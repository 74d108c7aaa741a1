// What a person sees of a preparation, and where its time goes. Main thread of one rank; while it lasts the leader
// shows its own part, which stands for those of the others.
#pragma once
#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/progress_bar.h"
#include "data/prepare/ranks.h"

namespace allreco::data {

class PrepareProgress {
 public:
  explicit PrepareProgress(bool shown) : bar_(shown) {}

  /// Begins what is counted: `total` units (0: nobody knows), whose name and size are for people ("MB", 1e6). `ranks`
  /// share them, as many as this one.
  void begin(std::string_view phase, double total, std::string_view unit, double unit_size, int ranks);
  /// `done` units of this rank so far, and tokens where there are any.
  void show(double done, double tokens = 0);
  void end() { bar_.wipe(); }

  /// Runs `work` and counts its time under `name`.
  template <class Work>
  auto timed(std::string_view name, const Work& work) {
    const Timer timer(*this, name);
    return work();
  }
  /// Collective, with the same names on all ranks. "read 12.1 s, encode 79.2 to 80.0 s": in the order in which they
  /// came first; of several ranks the shortest and the longest.
  std::string times(PrepareRanks& ranks) const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Timer {
    Timer(PrepareProgress& owner, std::string_view what) : progress(owner), name(what), start(Clock::now()) {}
    ~Timer() { progress.add(name, std::chrono::duration<double>(Clock::now() - start).count()); }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    PrepareProgress& progress;
    std::string_view name;
    Clock::time_point start;
  };
  void add(std::string_view name, double seconds);
  std::string line(double done, double tokens) const;

  core::ProgressBar bar_;
  std::string phase_, unit_;
  double total_ = 0, unit_size_ = 1;
  int ranks_ = 1;
  Clock::time_point start_;
  std::vector<std::pair<std::string, double>> seconds_;
};

}  // namespace allreco::data
