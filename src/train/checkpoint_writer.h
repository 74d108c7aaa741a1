// CheckpointWriter: saves checkpoints on a thread of its own, so that training only waits for a copy of the LoRA state.
// Rank 0 has one; it never calls MPI.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/json.h"
#include "train/checkpoint.h"

namespace allreco::train {

struct SaveRequest {
  std::int64_t step = 0;
  CheckpointContents contents;  // a copy of the state, see snapshot_of
  core::Json state;             // trainer_state.json
  bool best = false;            // `best` shall point to it
  double metric = 0;            // what makes it the best
};

struct SaveOutcome {
  std::int64_t step = 0;
  bool best = false;
  double metric = 0;
  std::string error;  // empty: the checkpoint stands
};

class CheckpointWriter {
 public:
  /// After each save old checkpoints are deleted beyond `save_total_limit` (0: none).
  CheckpointWriter(std::filesystem::path output_dir, std::int64_t save_total_limit);
  /// Saves what is queued, then ends the thread.
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  /// Queues it. Waits only when the disk is so slow that kMaxQueued others still wait: each holds a copy of the state.
  void save(SaveRequest request);
  /// Outcomes since the last call, in the order of the requests. Never waits.
  std::vector<SaveOutcome> take_outcomes();
  /// Returns when everything queued is saved or has failed.
  void wait();

  static constexpr size_t kMaxQueued = 4;

 private:
  void run();
  SaveOutcome save_now(const SaveRequest& request) const;

  std::filesystem::path output_dir_;
  std::int64_t save_total_limit_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<SaveRequest> queue_;  // the first one is being saved
  std::vector<SaveOutcome> outcomes_;
  bool ending_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace allreco::train
