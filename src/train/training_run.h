// TrainingRun: the loop over steps and what happens between them. Every rank holds one and takes the same turns; rank 0
// writes.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "core/run_lock.h"
#include "core/stop_signals.h"
#include "dist/session.h"
#include "model/decoder/decoder.h"
#include "model/lora/lora.h"
#include "train/batch_source.h"
#include "train/checkpoint_writer.h"
#include "train/due.h"
#include "train/optimizer.h"
#include "train/run_inputs.h"
#include "train/run_log.h"
#include "train/run_plan.h"
#include "train/train_step.h"
#include "train/trainer.h"
#include "train/trainer_state.h"

namespace allreco::train {

/// What the loop works on; all of it outlives the TrainingRun.
struct RunContext {
  dist::Session& session;
  dist::Communicator& communicator;  // of the model's device
  const TrainJob& job;
  const RunInputs& inputs;
  const RunPlan& plan;
  const Sharding& sharding;
  model::LoraStore& store;
  Optimizer& optimizer;
  const core::StopSignals& signals;
  const core::LockedDirectory* directory;  // output_dir, on rank 0; null on the others
};

class TrainingRun {
 public:
  /// `state`: of a new run, or as a checkpoint left it; store and optimiser go with it.
  TrainingRun(const RunContext& context, TrainerState state);

  /// Collective. Runs to the last step or to a stop signal.
  TrainResult run();

 private:
  void account_for(const StepReport& report);
  /// Every replica_check_steps steps: Fault when the ranks' parameters differ.
  void check_replicas();
  void write_log_line(const StepReport& report);
  /// Returns eval_loss.
  double evaluate();
  /// After the evaluations so far, those before a resumption included.
  bool is_out_of_patience() const;
  void save(std::optional<double> metric);
  /// Before anything is written. Fault when output_dir is no longer in place, or when what would be saved is not
  /// finite.
  void require_in_place() const;
  void require_finite() const;
  void require_learnt() const;
  model::AdapterOrigin origin() const;
  /// Rank 0: says which saves are done, and takes back what a failed one promised.
  void account_for_saves();
  /// The last save of a run that was stopped must stand; of one that is complete it may fail.
  void finish_saves(bool stopped);
  bool is_best(double metric) const;
  void note_history(const core::Json& line);
  TrainResult finish(bool stopped);
  void write_results(const TrainResult& result);

  RunContext context_;
  const TrainConfig& config_;
  std::filesystem::path output_dir_;
  core::Json identity_;
  TrainerState state_;
  model::Decoder decoder_;
  BatchSource batches_;
  TrainStep train_step_;
  RunLog log_;
  std::int64_t last_replica_check_;  // the step after which the ranks were last known to be alike
  /// The best checkpoint that stands; a failed save falls back to it.
  std::optional<double> saved_best_metric_;
  std::string saved_best_checkpoint_;
  bool last_save_failed_ = false;           // the newest one whose outcome is known
  std::optional<CheckpointWriter> writer_;  // on rank 0
};

}  // namespace allreco::train
