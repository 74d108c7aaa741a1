// The training run: from options to OUTPUT_DIR/adapter_model.safetensors, on all ranks.
#pragma once
#include <c10/core/Device.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "dist/communicator.h"
#include "dist/nccl_api.h"
#include "dist/session.h"
#include "train/config.h"

namespace allreco::train {

struct TrainResult {
  bool stopped_by_signal = false;  // after saving: exit code 85; the run resumes with resume_from_checkpoint = auto
  std::int64_t global_step = 0;    // completed steps
  double train_loss = 0;           // mean of the completed steps' losses
  std::int64_t num_skipped_steps = 0;
  std::optional<double> best_metric;
  std::string best_model_checkpoint;  // its name in output_dir; empty: none
};

/// Makes the data plane between several ranks for the device that they compute on; null: the session's own.
using MakePlane =
    std::function<std::unique_ptr<dist::Communicator>(dist::Session&, c10::Device, const dist::NcclOptions&)>;
/// NCCL on GPUs, else MPI.
std::unique_ptr<dist::Communicator> make_plane_of_device(dist::Session& session, c10::Device device,
                                                         const dist::NcclOptions& options);

/// Collective over all ranks. Validates the job, then reads data and model, trains, and writes (rank 0) what
/// docs/formats.md lists for an output directory. UserError before any work for options, data, model or an output
/// directory that do not go together.
TrainResult run_training(dist::Session& session, const TrainJob& job,
                         const MakePlane& make_plane = make_plane_of_device);

}  // namespace allreco::train
