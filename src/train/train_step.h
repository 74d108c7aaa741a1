// One optimiser step: the same on every rank, whatever part of the global batch it computes.
#pragma once
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dist/communicator.h"
#include "dist/session.h"
#include "dist/stall_guard.h"
#include "model/decoder/decoder.h"
#include "model/lora/lora.h"
#include "train/batch_source.h"
#include "train/config.h"
#include "train/optimizer.h"
#include "train/run_plan.h"
#include "train/spike_guard.h"
#include "train/step_gradients.h"

namespace allreco::train {

struct StepTimes {
  double step_ms = 0;
  double compute_ms = 0;                // forward and backward; communication that these hide is inside
  double communication_exposed_ms = 0;  // waiting for gradients after backward
  double optimizer_ms = 0;              // clip, update, cast
  double data_wait_ms = 0;              // waiting for the plan, and for examples to be read and packed
};

struct StepReport {
  double loss = 0;       // mean NLL over the supervised tokens of the global batch
  double grad_norm = 0;  // of the whole gradient, before clipping
  double learning_rate = 0;
  std::string skip_reason;      // why nothing was updated; empty: the update was made
  bool stop_requested = false;  // some rank got a stop signal
  std::int64_t tokens = 0;
  std::int64_t supervised_tokens = 0;
  StepTimes times;  // of this rank
  bool skipped() const { return !skip_reason.empty(); }
};

/// What a step works on; all of it outlives the TrainStep.
struct StepContext {
  dist::Session& session;
  dist::Communicator& communicator;  // of the gradients' device
  BatchSource& batches;              // at the first step that is run
  model::LoraStore& store;
  model::Decoder& decoder;
  Optimizer& optimizer;
  SpikeGuard& spikes;
};

class TrainStep {
 public:
  TrainStep(const StepContext& context, const TrainConfig& config, const Sharding& sharding, const Schedule& schedule);

  /// Collective. Computes step `step` (0-based): the one after the last, since its plan and micro-batches come
  /// from `batches`. An error on one rank is thrown on all.
  StepReport run(std::int64_t step, bool stop_requested);

  /// From now on the steps' micro-batches add to it; null: no more.
  void report_passes(model::PassReport* report) { pass_report_ = report; }
  /// What the ranks sum in a step, and when backward completes it.
  std::vector<dist::GradientBucket> gradient_buckets() const { return gradients_.buckets(); }

 private:
  struct LocalResult {
    std::vector<double> nll;     // sum over the supervised tokens of each of this rank's shards
    std::exception_ptr failure;  // what went wrong on this rank alone
  };
  LocalResult run_shards(const StepPlan& plan, std::int64_t step, StepTimes& times);
  double run_micro_batches(const data::MicroBatches& micro_batches, std::int64_t step, model::TrainPass pass,
                           const std::function<void(std::int64_t)>& layer_done, StepTimes& times);
  double forward_backward(std::int64_t step, const model::TrainPass& pass, StepTimes& times);
  void update(std::int64_t step, StepReport& report);
  std::string reason_to_skip(const StepReport& report);

  StepContext context_;
  const TrainConfig& config_;
  Schedule schedule_;
  Sharding sharding_;
  StepGradients gradients_;
  model::PassReport* pass_report_ = nullptr;
  std::optional<dist::StallGuard> stall_guard_;  // on a GPU
};

}  // namespace allreco::train
