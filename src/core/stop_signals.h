// Stop signals: SIGUSR1 (SLURM's warning), SIGTERM and SIGINT ask a run to save and leave, or a service to finish and
// leave; they interrupt nothing.
#pragma once

namespace allreco::core {

/// Called once, before any thread and before MPI starts (cli/starter.cpp): these signals wait until a StopSignals takes
/// them, so that one that comes early ends no rank by itself; and those that come after its end wait for the end of the
/// process.
void hold_stop_signals();

/// While it lives these signals set a flag; its destructor puts the former handlers and their blocking back. A second
/// SIGINT ends the process as usual. One object at a time, made by the main thread.
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

}  // namespace allreco::core
