#include "train/trainer.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>

#include "core/check.h"
#include "core/json.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/run_lock.h"
#include "core/stop_signals.h"
#include "dist/gradient_reducer.h"
#include "dist/nccl_communicator.h"
#include "model/device.h"
#include "model/lora/adapter.h"
#include "model/lora/dora.h"
#include "model/lora/weight_init.h"
#include "train/checkpoint.h"
#include "train/output_dir.h"
#include "train/run_inputs.h"
#include "train/training_run.h"

namespace allreco::train {
namespace fs = std::filesystem;

namespace {

/// The checkpoint to go on from, as rank 0 found it; empty: a new run.
struct Start {
  fs::path checkpoint;
  core::Json document;  // trainer_state.json
  bool resumes() const { return !checkpoint.empty(); }
};

/// Rank 0 holds it for all. Its wait for a dying owner may be longer than what ranks wait for one another.
std::unique_ptr<core::LockedDirectory> lock_output_dir(dist::Session& session, const TrainConfig& config) {
  constexpr double longest_watch_s = 120;
  std::unique_ptr<core::LockedDirectory> directory;
  session.set_timeout(std::max(config.ddp_timeout, longest_watch_s));
  session.together("locking output_dir", [&] {
    if (session.is_leader()) directory = std::make_unique<core::LockedDirectory>(config.output_dir);
  });
  session.set_timeout(config.ddp_timeout);
  return directory;
}

Start agree_on_start(dist::Session& session, const TrainConfig& config) {
  core::Json found = core::Json::object();
  session.together("checking output_dir", [&] {
    if (!session.is_leader()) return;
    const auto checkpoint = choose_start(config);
    if (!checkpoint) return;
    found["checkpoint"] = checkpoint->string();
    found["document"] = core::read_json_file(*checkpoint / "trainer_state.json");
  });
  found = core::Json::parse(session.broadcast(found.dump()));
  if (found.empty()) return {};
  return {found["checkpoint"].get<std::string>(), found["document"]};
}

/// Collective. Before the device's first work.
at::Device claim_device(dist::Session& session, const TrainJob& job) {
  at::Device device = at::kCPU;
  session.together("choosing the device", [&] {
    device = eval::claim_device(session, job.base);
    if (job.config.deterministic) model::compute_deterministically(device);
  });
  return device;
}

/// Collective. Null: the session's own. Before the base is loaded: NCCL then finds the memory for its buffers, and a
/// network that does not work is known within seconds.
std::unique_ptr<dist::Communicator> make_warm_plane(dist::Session& session, at::Device device,
                                                    const TrainConfig& config, const MakePlane& make_plane) {
  if (session.world_size() == 1) return nullptr;
  std::unique_ptr<dist::Communicator> plane =
      make_plane(session, device, {.max_ctas = static_cast<int>(config.nccl_max_ctas)});
  if (!plane) return nullptr;
  session.enter_phase(0, "warming up the data plane");
  dist::warm_up(*plane, device, config.sum_order());
  return plane;
}

RunPlan plan_from(const TrainConfig& config, const Start& start, const data::Dataset& dataset,
                  const dist::Session& session) {
  std::int64_t batch_size = configured_global_batch_size(config, session.world_size());
  RunPosition from;
  if (start.resumes()) {
    const SavedBatch saved = batch_from_json(start.document, start.checkpoint);
    from = saved.start;
    const std::int64_t configured = batch_size;
    batch_size = resumed_global_batch_size(config, session.world_size(), saved);
    if (batch_size != configured && session.is_leader()) {
      core::log_warning("keeping the global batch of {} examples of the run on {} ranks, which goes on on {}",
                        batch_size, saved.world_size, session.world_size());
    }
  }
  return plan_run(config, dataset.size(), batch_size, from);
}

/// Collective. Decompositions take long, so layers are dealt to the ranks; all get the owner's bits.
void init_from_weights(dist::Session& session, dist::Communicator& communicator, const model::Weights& base,
                       std::uint64_t seed, model::LoraStore& store) {
  const auto begin_time = std::chrono::steady_clock::now();
  const auto owner_of = [&](std::int64_t layer) { return static_cast<int>(layer % session.world_size()); };
  session.together("starting LoRA from the weights", [&] {
    for (std::int64_t layer = 0; layer < store.num_layers(); ++layer)
      if (owner_of(layer) == session.rank()) model::init_layer_from_weights(store, base, layer, seed);
  });
  for (std::int64_t layer = 0; layer < store.num_layers(); ++layer) {
    const auto [begin, end] = store.slice_of_layer(layer);
    if (begin < end) communicator.broadcast(store.parameters().narrow(0, begin, end - begin), owner_of(layer));
  }
  store.frozen_pair().copy_(store.parameters());
  if (session.is_leader()) {
    core::log_info("LoRA started from the weights (init_lora_weights = {}) in {:.1f} s",
                   store.config().init_lora_weights,
                   std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_time).count());
  }
}

/// Fills store and optimiser on every rank with what rank 0 reads, so that all start from the same bits.
TrainerState load_start(dist::Session& session, dist::Communicator& communicator, const TrainJob& job,
                        const Start& start, const model::Weights& base, model::LoraStore& store, Optimizer& optimizer) {
  TrainerState state;
  if (start.resumes()) state = state_from_json(start.document, start.checkpoint / "trainer_state.json");
  if (!state.best_model_checkpoint.empty() &&
      !fs::exists(fs::path(job.config.output_dir) / state.best_model_checkpoint)) {
    // It failed to be saved after this checkpoint was written, or somebody deleted it.
    state.best_model_checkpoint.clear();
    state.best_metric.reset();
  }
  const bool starts_anew = !start.resumes() && job.adapter_name_or_path.empty();
  if (starts_anew && store.config().initializes_from_weight())
    init_from_weights(session, communicator, base, job.config.seed, store);
  session.together("loading the adapter", [&] {
    if (!session.is_leader()) return;
    if (start.resumes()) {
      load_checkpoint(start.checkpoint, store, optimizer);
    } else if (!job.adapter_name_or_path.empty()) {
      model::load_adapter(job.adapter_name_or_path, store);
    } else {
      model::init_magnitudes(store, base);
    }
  });
  optimizer.set_num_updates(session.all_max(optimizer.num_updates()));
  communicator.broadcast(store.parameters(), 0);
  if (store.frozen_pair().defined()) communicator.broadcast(store.frozen_pair(), 0);
  for (const at::Tensor& buffer : optimizer.state()) communicator.broadcast(buffer, 0);
  store.refresh_frozen_pair();
  store.refresh_compute_copy();
  return state;
}

}  // namespace

std::unique_ptr<dist::Communicator> make_plane_of_device(dist::Session& session, c10::Device device,
                                                         const dist::NcclOptions& options) {
  return device.is_cuda() ? dist::make_nccl_communicator(session, device.index(), options) : nullptr;
}

TrainResult run_training(dist::Session& session, const TrainJob& job, const MakePlane& make_plane) {
  const at::NoGradGuard no_grad;
  const core::StopSignals
      signals;  // from now on: one that comes while the model is loaded stops the run after its first step
  const TrainConfig& config = job.config;
  validate(config);
  session.set_timeout(config.ddp_timeout);
  const Sharding sharding = sharding_of(config, session.rank(), session.world_size());
  const auto directory = lock_output_dir(session, config);  // null but on rank 0
  const Start start = agree_on_start(session, config);
  const at::Device device = claim_device(session, job);
  const std::unique_ptr<dist::Communicator> own_plane = make_warm_plane(session, device, config, make_plane);
  const RunInputs inputs = read_inputs(session, job, device);
  const RunPlan plan = plan_from(config, start, inputs.train_data, session);
  if (start.resumes()) {
    const fs::path document = start.checkpoint / "trainer_state.json";
    const auto changed =
        require_same_identity(identity_from_json(start.document, document),
                              run_identity(config, inputs.lora, plan, inputs.train_data.info(), inputs.base),
                              start.checkpoint, config.resume_with_changed);
    if (session.is_leader())
      for (const std::string& difference : changed) core::log_warning("resume_with_changed: {}", difference);
    if (plan.num_steps < plan.start.step) {
      core::user_error("{} has {} steps behind it, this run shall have only {}: raise max_steps or num_train_epochs",
                       start.checkpoint.string(), plan.start.step, plan.num_steps);
    }
  }
  dist::Communicator& communicator = own_plane ? *own_plane : session.communicator();
  model::LoraStore store(inputs.base.config, inputs.lora, inputs.base.weights.dtype(), config.seed, device);
  const std::unique_ptr<Optimizer> optimizer =
      make_optimizer(optimizer_type_from_name(config.optim), store, config.adamw());
  TrainerState state = load_start(session, communicator, job, start, inputs.base.weights, store, *optimizer);
  core::keep_freed_memory();  // what comes and goes from here on comes again in every step
  session.together("opening output_dir", [&] {
    if (session.is_leader()) open_output_dir(config, start.resumes(), job.resolved_options);
  });
  if (session.is_leader()) {
    core::log_info("{} {} of {} steps: {} examples a step on {} rank(s), {} LoRA parameters",
                   start.resumes() ? "resuming after" : "starting at", state.global_step, plan.num_steps,
                   plan.global_batch_size, session.world_size(), store.num_parameters());
  }
  return TrainingRun({session, communicator, job, inputs, plan, sharding, store, *optimizer, signals, directory.get()},
                     std::move(state))
      .run();
}

}  // namespace allreco::train
