// A training as `allreco train` runs it, on CPUs, but with the NCCL plane between the ranks, over the double of
// tests/dist. Run by nccl_plane.py under mpirun:
//
//   train_on_nccl_double MODEL DATASET OUTPUT_DIR MAX_STEPS [CALL]     call CALL to NCCL fails on rank 1
#include <cstdlib>
#include <string>
#include <vector>

#include "core/check.h"
#include "core/log.h"
#include "dist/nccl_communicator.h"
#include "dist/nccl_double.h"
#include "dist/session.h"
#include "train/trainer.h"

namespace {

using namespace allreco;

/// The options that nccl_plane.py gives to `allreco train`.
train::TrainJob job_of(const std::vector<std::string>& arguments) {
  core::require(arguments.size() >= 4, "expected MODEL DATASET OUTPUT_DIR MAX_STEPS [CALL]");
  train::TrainJob job;
  job.base.model_name_or_path = arguments[0];
  job.base.device = "cpu";
  job.config.dataset = arguments[1];
  job.config.output_dir = arguments[2];
  job.config.max_steps = std::atol(arguments[3].c_str());
  job.config.global_batch_size = 8;
  job.config.per_device_train_batch_size = 8;
  job.config.learning_rate = 1e-3;
  job.config.logging_steps = 1;
  job.config.save_steps = 1;
  job.config.ddp_timeout = 60;
  job.config.nccl_max_ctas = 4;
  job.lora.r = 2;
  job.lora.lora_dropout = 0.1;
  job.lora.target_modules = {"q_proj"};
  return job;
}

void train_on_double(dist::Session& session, const std::vector<std::string>& arguments) {
  dist::NcclScript script;
  if (arguments.size() > 4 && session.rank() == 1) script.fails_at = std::atoi(arguments[4].c_str());
  train::run_training(
      session, job_of(arguments), [&](dist::Session& ranks, c10::Device, const dist::NcclOptions& nccl) {
        core::require(nccl.max_ctas == 4, "nccl_max_ctas does not reach NCCL");
        return dist::make_nccl_communicator(
            ranks, [&] { return dist::make_nccl_double(script, std::make_shared<std::vector<std::string>>()); });
      });
}

}  // namespace

int main(int argc, char** argv) {
  dist::Session session(argc, argv);
  core::set_up_log(session.rank(), session.world_size());
  try {
    session.together("train", [&] { train_on_double(session, {argv + 1, argv + argc}); });
    return 0;
  } catch (const std::exception& e) {
    core::log_error("{}", e.what());
    session.abort(1);
  }
}
