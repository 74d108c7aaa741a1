// Stop signals: SIGUSR1 (SLURM's warning), SIGTERM and SIGINT ask the run to save and leave; they interrupt nothing.
#pragma once

namespace allreco::train {

/// While it lives these signals set a flag; its destructor puts the former handlers back. A second SIGINT ends the
/// process as usual. One object at a time, made by the main thread.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// The signal that has arrived since construction, or 0.
  int received() const;

 private:
  struct Former;
  Former* former_;
};

}  // namespace allreco::train
