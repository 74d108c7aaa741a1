#include "bench/training_bench.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "bench/synthetic_data.h"
#include "core/check.h"
#include "core/host.h"
#include "core/memory.h"
#include "model/decoder/decoder.h"
#include "model/device.h"
#include "model/lora/dora.h"
#include "train/train_step.h"
#include "train/trainer.h"

namespace allreco::bench {
namespace {

/// What a run of steps works on, in the order in which the trainer makes it.
struct Bench {
  Bench(dist::Session& ranks, const BenchConfig& options) : session(ranks), config(options), train(options.train) {
    train.max_steps = config.warmup_steps + config.max_steps;
    train.lr_scheduler_type = "constant";
    session.set_timeout(train.ddp_timeout);
    core::return_freed_memory();
    runtime_bytes = core::resident_bytes();
    session.together("choosing the device", [&] {
      device = eval::claim_device(session, config.base);
      if (train.deterministic) model::compute_deterministically(device);
    });
    make_plane();
    load();
  }

  void make_plane() {
    if (session.world_size() == 1) return;
    own_plane = train::make_plane_of_device(session, device, {.max_ctas = static_cast<int>(train.nccl_max_ctas)});
    dist::warm_up(plane(), device, train.sum_order());
  }
  dist::Communicator& plane() { return own_plane ? *own_plane : session.communicator(); }

  void load() {
    sharding = train::sharding_of(train, session.rank(), session.world_size());
    const std::int64_t batch = train::configured_global_batch_size(train, session.world_size());
    session.together("reading the model and the data", [&] {
      model::validate(config.lora);
      base = eval::load_base_model(session, config.base, device);
      if (train.dataset.empty()) {
        check_length();
        random_tokens =
            std::make_unique<SyntheticData>(batch, config.sequence_length, base->config.vocab_size, train.seed);
      }
      data.emplace(random_tokens ? random_tokens->directory() : std::filesystem::path(train.dataset),
                   train.train_split);
      data::require_vocabulary_fits(data->info(), base->config.vocab_size, base->name);
    });
    run_plan = train::plan_run(train, data->size(), batch);
    store = std::make_unique<model::LoraStore>(base->config, config.lora, base->weights.dtype(), train.seed, device);
    if (store->config().initializes_from_weight())
      core::user_error("init_lora_weights = {}: bench does not start factors from the weights; leave it out",
                       store->config().init_lora_weights);
    model::init_magnitudes(*store, base->weights);
    store->refresh_compute_copy();
    optimizer = train::make_optimizer(train::optimizer_type_from_name(train.optim), *store, train.adamw());
    decoder = std::make_unique<model::Decoder>(base->config, base->weights, store.get());
  }

  void check_length() const {
    if (config.sequence_length > base->config.max_position_embeddings)
      core::user_error("sequence_length = {}, but the model {} has {} positions", config.sequence_length, base->name,
                       base->config.max_position_embeddings);
  }

  dist::Session& session;
  const BenchConfig& config;
  train::TrainConfig train;
  at::Device device = at::kCPU;
  std::int64_t runtime_bytes = 0;
  std::unique_ptr<dist::Communicator> own_plane;
  train::Sharding sharding;
  std::optional<model::BaseModel> base;
  std::unique_ptr<SyntheticData> random_tokens;
  std::optional<data::Dataset> data;
  train::RunPlan run_plan;
  std::unique_ptr<model::LoraStore> store;
  std::unique_ptr<train::Optimizer> optimizer;
  std::unique_ptr<model::Decoder> decoder;
};

/// The memory behind tensors, each buffer once.
class Buffers {
 public:
  void add(const at::Tensor& t) {
    if (t.defined() && seen_.insert(t.storage().data()).second)
      bytes_ += static_cast<std::int64_t>(t.storage().nbytes());
  }
  std::int64_t bytes() const { return bytes_; }

 private:
  std::set<const void*> seen_;
  std::int64_t bytes_ = 0;
};

/// By elements: a tensor may be a view of a mapped file.
std::int64_t bytes_of(const model::Weights& weights) {
  std::int64_t bytes = 0;
  const auto add = [&](const at::Tensor& t) {
    if (t.defined()) bytes += static_cast<std::int64_t>(t.nbytes());
  };
  add(weights.embedding);
  add(weights.final_norm);
  if (!weights.lm_head.is_same(weights.embedding)) add(weights.lm_head);
  for (const model::LayerWeights& layer : weights.layers) {
    for (const at::Tensor& norm : layer.norms) add(norm);
    for (const model::FrozenLinear& linear : layer.projections) {
      add(linear.bias());
      if (!linear.is_quantized()) {
        add(linear.dense());
        continue;
      }
      const auto& nf4 = linear.quantized();
      for (const at::Tensor& part : {nf4.packed, nf4.absmax, nf4.nested_absmax}) add(part);
    }
  }
  return bytes;
}

std::int64_t bytes_of_lora(const Bench& bench) {
  Buffers buffers;
  const model::LoraStore& store = *bench.store;
  for (const at::Tensor& t : {store.parameters(), store.gradients(), store.frozen_pair()}) buffers.add(t);
  for (const at::Tensor& t : bench.optimizer->state()) buffers.add(t);
  const bool has_copy = store.parameters().scalar_type() != bench.base->weights.dtype();
  const std::int64_t copies = store.frozen_pair().defined() ? 2 : 1;
  return buffers.bytes() + (has_copy ? copies * store.num_parameters() * std::int64_t{2} : 0);  // in bfloat16
}

/// What this rank computes in a step, and what all ranks do.
struct Share {
  std::int64_t tokens = 0;
  StepFlop flop;
};

std::vector<ExampleSize> sizes_of(const data::Dataset& data, const data::MicroBatches& batches) {
  std::vector<ExampleSize> sizes;
  for (const auto& batch : batches)
    for (const std::int64_t sample : batch) sizes.push_back({data.length(sample), data.num_supervised(sample)});
  return sizes;
}

void add(StepFlop& sum, const StepFlop& flop) {
  sum.projections += flop.projections;
  sum.lora += flop.lora;
  sum.attention += flop.attention;
  sum.loss_head += flop.loss_head;
}

/// The steps themselves.
class Runner {
 public:
  explicit Runner(Bench& bench)
      : bench_(bench),
        planner_(*bench.data, bench.base->config, bench.train, bench.run_plan, bench.sharding),
        batches_(*bench.data, [this](std::int64_t step) { return planner_.plan(step); },
                 {.first_step = 0,
                  .end_step = bench.run_plan.num_steps,
                  .num_workers = bench.device.is_cuda() ? 1 : 0,
                  .device = bench.device,
                  .pinned = bench.device.is_cuda()}),
        step_({bench.session, bench.plane(), batches_, *bench.store, *bench.decoder, *bench.optimizer, spikes_},
              bench.train, bench.sharding, bench.train.schedule(bench.run_plan.num_steps)) {
    step_.report_passes(&passes_);
  }

  /// This rank's part of the result.
  RankResult run(std::vector<double>& losses) {
    core::keep_freed_memory();  // as the trainer does
    for (std::int64_t i = 0; i < bench_.config.warmup_steps; ++i) losses.push_back(step_.run(i, false).loss);
    core::reset_peak_resident_bytes();
    bench_.session.barrier();
    passes_ = {};
    RankResult result;
    std::vector<double> steps;
    for (std::int64_t i = bench_.config.warmup_steps; i < bench_.run_plan.num_steps; ++i) {
      const train::StepReport report = step_.run(i, false);
      losses.push_back(report.loss);
      steps.push_back(report.times.step_ms);
      account_for(report.times, i, result);
    }
    finish(result, std::move(steps));
    return result;
  }

  const StepFlop& flop() const { return flop_; }
  std::vector<dist::GradientBucket> gradient_buckets() const { return step_.gradient_buckets(); }

 private:
  void account_for(const train::StepTimes& times, std::int64_t step, RankResult& result) {
    result.seconds += times.step_ms / 1000;
    result.parts.data += times.data_wait_ms;
    result.parts.communication += times.communication_exposed_ms;
    result.parts.optimizer += times.optimizer_ms;
    const data::MicroBatches batches = planner_.plan(step).micro_batches();
    result.micro_batches += std::count_if(batches.begin(), batches.end(), [](const auto& b) { return !b.empty(); });
    const std::vector<ExampleSize> sizes = sizes_of(*bench_.data, batches);
    for (const ExampleSize& size : sizes) result.tokens += size.tokens;
    add(flop_, flop_of_step(bench_.base->config, bench_.config.lora, sizes));
  }

  void finish(RankResult& result, std::vector<double> steps) const {
    const auto n = static_cast<double>(steps.size());
    StepParts& parts = result.parts;
    parts.forward = passes_.forward_ms;
    parts.loss_head = passes_.loss_head_ms;
    parts.backward = passes_.backward_ms;
    for (double* part :
         {&parts.data, &parts.forward, &parts.loss_head, &parts.backward, &parts.communication, &parts.optimizer})
      *part /= n;
    result.host = core::host_name();
    result.step_ms = result.seconds * 1000 / n;
    parts.idle = std::max(0.0, result.step_ms - parts.data - parts.forward - parts.loss_head - parts.backward -
                                   parts.communication - parts.optimizer);
    std::nth_element(steps.begin(), steps.begin() + std::ssize(steps) / 2, steps.end());
    result.median_step_ms = steps[steps.size() / 2];
    MemoryKinds& memory = result.memory;
    const bool on_gpu = bench_.device.is_cuda();
    memory.base = bytes_of(bench_.base->weights);
    memory.lora_state = bytes_of_lora(bench_);
    memory.activations = passes_.activation_bytes;
    memory.runtime = on_gpu ? 0 : bench_.runtime_bytes;
    memory.peak = on_gpu ? model::peak_device_bytes(bench_.device) : core::peak_resident_bytes();
    memory.workspace =
        std::max<std::int64_t>(0, memory.peak - memory.base - memory.lora_state - memory.activations - memory.runtime);
  }

  Bench& bench_;
  train::StepPlanner planner_;
  train::BatchSource batches_;
  train::SpikeGuard spikes_;
  model::PassReport passes_;
  StepFlop flop_;
  train::TrainStep step_;
};

/// All ranks at once, as in a step: they share memory and power.
void measure_peak(Bench& bench, RankResult& result) {
  const std::int64_t rows =
      bench.train.per_device_train_batch_size * std::min(bench.data->info().max_length, bench.config.sequence_length);
  bench.session.barrier();
  result.products = measure_products(bench.base->config, bench.base->weights.dtype(), bench.device, rows);
  for (const ProductSpeed& product : result.products)
    result.peak_flop_per_second = std::max(result.peak_flop_per_second, product.flop_per_second);
}

core::Json model_json(const Bench& bench) {
  return {{"name", bench.base->name},
          {"storage", bench.base->storage},
          {"dtype", at::toString(bench.base->weights.dtype())},
          {"lora_parameters", bench.store->num_parameters()},
          {"config", model::to_json(bench.base->config)}};
}

/// What the ranks sum in a step, bucket by bucket, and how: what a model of the cluster starts from.
core::Json gradients_json(const Bench& bench, const std::vector<dist::GradientBucket>& buckets) {
  core::Json parts = core::Json::array();
  for (const dist::GradientBucket& bucket : buckets)
    parts.push_back({{"bytes", bucket.bytes}, {"layers_done", bucket.num_slices}});
  return {{"operation", bench.train.sum_order() == dist::SumOrder::tree ? "tree_sum" : "all_reduce_sum"},
          {"overlap", bench.train.overlap_grad_reduce},
          {"buckets", std::move(parts)}};
}

}  // namespace

double TrainingResult::seconds() const {
  double slowest = 0;
  for (const RankResult& rank : ranks) slowest = std::max(slowest, rank.seconds);
  return slowest;
}

double TrainingResult::peak_flop_per_second() const {
  double sum = 0;
  for (const RankResult& rank : ranks) sum += rank.peak_flop_per_second;
  return sum;
}

TrainingResult bench_training(dist::Session& session, const BenchConfig& config) {
  const at::NoGradGuard no_grad;
  Bench bench(session, config);
  TrainingResult result;
  RankResult mine;
  std::vector<double> flop;
  {
    Runner runner(bench);
    mine = runner.run(result.losses);
    const StepFlop& own = runner.flop();
    result.gradients = gradients_json(bench, runner.gradient_buckets());
    flop = {own.projections, own.lora, own.attention, own.loss_head, static_cast<double>(mine.tokens)};
  }
  measure_peak(bench, mine);
  session.all_sum(flop);
  result.flop = {flop[0], flop[1], flop[2], flop[3]};
  result.tokens = static_cast<std::int64_t>(flop[4]);
  for (const std::string& text : session.all_gather(core::json_of(mine).dump()))
    result.ranks.push_back(core::from_json<RankResult>(core::Json::parse(text), "another rank's result"));
  result.num_steps = config.max_steps;
  result.examples_per_step = bench.run_plan.global_batch_size;
  result.model = model_json(bench);
  result.machine = {{"cpu", core::cpu_model()},
                    {"cores", std::max(1U, std::thread::hardware_concurrency())},
                    {"threads_per_rank", at::get_num_threads()},
                    {"device", bench.device.str()}};
  return result;
}

}  // namespace allreco::bench
