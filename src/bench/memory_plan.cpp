#include "bench/memory_plan.h"

#include <ATen/ops/ones.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "bench/units.h"
#include "core/check.h"
#include "core/memory.h"
#include "model/checkpoint/weight_source.h"
#include "model/device.h"
#include "model/ops/matmul.h"
#include "train/optimizer.h"
#include "train/run_plan.h"

namespace allreco::bench {
namespace {

using model::Norm;
using model::Projection;

constexpr std::int64_t kFloatBytes = 4;

/// LoRA's r of each projection of a layer; 0: none.
using LayerRanks = std::array<std::int64_t, model::kNumProjections>;

std::vector<LayerRanks> ranks_of(const model::ModelConfig& config, const model::LoraConfig& lora) {
  std::vector<LayerRanks> ranks(static_cast<size_t>(config.num_hidden_layers), LayerRanks{});
  for (const model::LoraEntry& entry : model::LoraStore::entries_of(config, lora))
    if (entry.factor == model::LoraFactor::a)
      ranks[static_cast<size_t>(entry.layer)][model::index_of(entry.projection)] = entry.shape[0];
  return ranks;
}

/// T rows of the stream, N of them with an output.
struct Rows {
  std::int64_t all = 0, wanted = 0;
};

/// Of BlockActivations but its x, in its order.
std::int64_t block_bytes(const model::ModelConfig& c, const LayerRanks& r, bool dora, std::int64_t element,
                         const Rows& rows) {
  const std::int64_t t = rows.all, n = rows.wanted;
  const std::int64_t d = c.hidden_size, f = c.intermediate_size, q = c.num_attention_heads * c.head_dim,
                     kv = c.num_key_value_heads * c.head_dim;
  std::int64_t bytes = kFloatBytes * (t + n) + element * (n * q + 2 * t * kv);  // rstd1, rstd2, q, k, v
  bytes += element * n * q + kFloatBytes * n * c.num_attention_heads;           // the attention's out, log_sum_exp
  bytes += element * (n * d + 2 * n * f);                                       // x1, gate, up
  if (c.has(Norm::q)) bytes += element * n * q + kFloatBytes * n * c.num_attention_heads;
  if (c.has(Norm::k)) bytes += element * t * kv + kFloatBytes * t * c.num_key_value_heads;
  for (const Norm norm : {Norm::attention_output, Norm::mlp_output})
    if (c.has(norm)) bytes += element * n * d + kFloatBytes * n;
  for (const Projection p : model::kProjections) {
    const bool of_all = p == Projection::k || p == Projection::v;
    const std::int64_t low_rank = r[model::index_of(p)];
    const std::int64_t direction = dora && low_rank > 0 ? model::shape_of(p, c).first : 0;
    bytes += element * (of_all ? t : n) * (low_rank + direction);
  }
  return bytes;
}

/// What trainings of the smallest models take beyond all that is counted here, on the CPU (Xeon, libtorch 2.11): code
/// of further operators, the reader, the MPI library; and, in bfloat16, what oneDNN makes for the shapes of a model.
constexpr std::int64_t kFurtherCode = std::int64_t{15} << 20, kFurtherKernels = std::int64_t{38} << 20;

/// The most of lm_head that a product with it packs at once, and what the allocator's heap holds beside the activations
/// in bfloat16, as a share of them: oneDNN takes and gives back scratch memory of other sizes between them, which
/// leaves gaps. Both from trainings of shapes of 135 million to 1.2 billion parameters (bench/plan_memory.py, Xeon with
/// AMX).
constexpr std::int64_t kMostPackedHead = std::int64_t{96} << 20;
constexpr double kGapShare = 0.5;

bool multiplies_in_bfloat16(at::ScalarType dtype) {
  return dtype == at::kBFloat16 && !model::ops::widens_products(dtype);
}

/// This process once it computes: the first products bring libtorch's code into memory, and oneDNN's in bfloat16 make
/// kernels for each shape. Those of a small block stand for the model's.
std::int64_t runtime_bytes(at::ScalarType dtype) {
  for (const at::ScalarType type : {dtype, at::kFloat}) {
    const at::Tensor x = at::ones({64, 96}, type), w = at::ones({160, 96}, type), g = at::ones({64, 160}, type);
    model::ops::mm(x, w.t());
    model::ops::mm(g, w);
    model::ops::mm(g.t(), x);
    at::Tensor sum = at::ones({64, 160}, type);
    model::ops::addmm_(sum, x, w.t());
  }
  return core::resident_bytes() + kFurtherCode + (multiplies_in_bfloat16(dtype) ? kFurtherKernels : 0);
}

std::int64_t num_shards_of(const train::TrainConfig& config) {
  return config.deterministic ? config.virtual_shards : 1;
}

/// Examples, where one rank has the whole step: a micro-batch does not reach over shards.
std::int64_t largest_micro_batch(const train::TrainConfig& config) {
  const std::int64_t of_step = train::configured_global_batch_size(config, 1), shards = num_shards_of(config);
  return std::min(config.per_device_train_batch_size, (of_step + shards - 1) / shards);
}

/// Sums of shards that wait for others (train/shard_sums.h), where one rank has them all.
std::int64_t shard_sum_bytes(const model::ModelConfig& config, const model::LoraConfig& lora,
                             const train::TrainConfig& train) {
  std::int64_t parameters = 0, buffers = 0;
  for (const model::LoraEntry& entry : model::LoraStore::entries_of(config, lora)) parameters += entry.numel();
  for (std::int64_t shards = 1; shards < num_shards_of(train); shards *= 2) ++buffers;
  return kFloatBytes * buffers * parameters;
}

}  // namespace

std::int64_t activation_bytes(const model::ModelConfig& config, const model::LoraConfig& lora, at::ScalarType dtype,
                              const BatchShape& batch, bool gradient_checkpointing) {
  const auto element = static_cast<std::int64_t>(c10::elementSize(dtype));
  const std::vector<LayerRanks> ranks = ranks_of(config, lora);
  const std::int64_t num_layers = config.num_hidden_layers, input = element * batch.tokens * config.hidden_size;
  const auto of_layer = [&](std::int64_t layer) {
    const bool is_last = layer + 1 == num_layers;
    return block_bytes(config, ranks[static_cast<size_t>(layer)], lora.use_dora, element,
                       {batch.tokens, is_last ? batch.supervised_tokens : batch.tokens});
  };
  std::int64_t first = 0;  // backward goes no further down
  while (first + 1 < num_layers &&
         *std::max_element(ranks[static_cast<size_t>(first)].begin(), ranks[static_cast<size_t>(first)].end()) == 0)
    ++first;
  std::int64_t after_forward = num_layers * input + of_layer(num_layers - 1);
  if (!gradient_checkpointing) {
    for (std::int64_t layer = first; layer + 1 < num_layers; ++layer) after_forward += of_layer(layer);
    return after_forward;
  }
  if (num_layers < 2 || first + 1 == num_layers) return after_forward;
  return std::max(after_forward, (num_layers - 1) * input + of_layer(num_layers - 2));  // computed again
}

std::int64_t lora_state_bytes(const model::ModelConfig& config, const model::LoraConfig& lora, at::ScalarType dtype,
                              const std::string& optim) {
  constexpr std::int64_t least_for_8_bits = 4096, block = 256;  // bitsandbytes' AdamW8bit (train/adamw8bit.h)
  const bool in_8_bits = train::optimizer_type_from_name(optim) == train::OptimizerType::adamw_8bit;
  std::int64_t bytes = 0;
  for (const model::LoraEntry& entry : model::LoraStore::entries_of(config, lora)) {
    const std::int64_t n = entry.numel();
    bytes += 2 * kFloatBytes * n + (dtype == at::kFloat ? 0 : n * static_cast<std::int64_t>(c10::elementSize(dtype)));
    bytes +=
        in_8_bits && n >= least_for_8_bits ? 2 * n + 2 * kFloatBytes * ((n + block - 1) / block) : 2 * kFloatBytes * n;
  }
  return bytes;
}

std::int64_t workspace_bytes(const model::ModelConfig& config, at::ScalarType dtype, const BatchShape& batch,
                             bool quantized, bool on_gpu) {
  const auto element = static_cast<std::int64_t>(c10::elementSize(dtype));
  const bool widens = !on_gpu && model::ops::widens_products(dtype);
  const std::int64_t t = batch.tokens, n = batch.supervised_tokens, d = config.hidden_size;
  const std::int64_t q = config.num_attention_heads * config.head_dim;
  const std::int64_t kv = config.num_key_value_heads * config.head_dim;
  std::int64_t largest = 0;
  for (const Projection p : model::kProjections) {
    const auto [out, in] = model::shape_of(p, config);
    largest = std::max(largest, out * in);
  }
  // x and its gradient, m, dm, h2, dh2, dout, dq, dk, dv, h1, dh1: see Block::backward
  const std::int64_t block =
      element * (4 * n * d + 2 * n * config.intermediate_size + 2 * n * q + 2 * t * kv + 2 * t * d);
  // x, norm, dh, dx and a chunk of logits: see LossHead
  const std::int64_t chunk_bytes = std::int64_t{on_gpu ? 128 : 16} << 20;
  const std::int64_t chunk_rows = std::min(n, std::max<std::int64_t>(64, chunk_bytes / (element * config.vocab_size)));
  std::int64_t head = element * (4 * n * d + chunk_rows * config.vocab_size);
  if (widens) head += kFloatBytes * chunk_rows * config.vocab_size;
  const std::int64_t product = widens ? kFloatBytes : element;
  // A dense bfloat16 weight is packed, or widened, for its product.
  const std::int64_t weight = quantized || dtype != at::kFloat ? product * largest : 0;
  const std::int64_t packed_head =
      on_gpu ? 0 : std::min(kMostPackedHead, product * config.vocab_size * config.hidden_size);
  return std::max(block, head) + weight + packed_head;
}

MemoryPlan plan_memory(const BenchConfig& config) {
  model::validate(config.lora);
  model::validate(config.base.quantization);
  const model::WeightSource source(config.base.model_name_or_path, config.base.dtype, config.base.quantization,
                                   model::FileAccess::map);
  const model::ModelConfig& model = source.base().config;
  if (config.sequence_length > model.max_position_embeddings)
    core::user_error("sequence_length = {}, but the model {} has {} positions", config.sequence_length,
                     config.base.model_name_or_path, model.max_position_embeddings);
  MemoryPlan plan;
  plan.model = config.base.model_name_or_path;
  plan.storage = source.storage();
  plan.dtype = source.dtype();
  plan.on_gpu = config.base.device == "cuda" || (config.base.device == "auto" && model::num_cuda_devices() > 0);
  const std::int64_t batch = largest_micro_batch(config.train);
  plan.batch = {batch * config.sequence_length, batch * (config.sequence_length - 1)};
  const bool quantized = plan.storage != "dense";
  MemoryKinds& kinds = plan.kinds;
  kinds.base = model::WeightLayout(source.stored()).num_bytes();
  kinds.lora_state = lora_state_bytes(model, config.lora, plan.dtype, config.train.optim);
  kinds.activations = activation_bytes(model, config.lora, plan.dtype, plan.batch, config.train.gradient_checkpointing);
  kinds.workspace = workspace_bytes(model, plan.dtype, plan.batch, quantized, plan.on_gpu) +
                    shard_sum_bytes(model, config.lora, config.train);
  if (!plan.on_gpu && multiplies_in_bfloat16(plan.dtype))
    kinds.workspace += static_cast<std::int64_t>(kGapShare * static_cast<double>(kinds.activations));
  kinds.runtime = plan.on_gpu ? 0 : runtime_bytes(plan.dtype);
  kinds.peak = kinds.base + kinds.lora_state + kinds.activations + kinds.workspace + kinds.runtime;
  const bool drawn = model::is_random_base(plan.model);
  const bool quantizes = quantized && !model.quantization;
  plan.shared_by_ranks = plan.on_gpu || (drawn && !quantizes) ? 0 : kinds.base;
  plan.available = plan.on_gpu ? 0 : core::available_memory_bytes();
  return plan;
}

core::Json to_json(const MemoryPlan& plan) {
  return {{"kind", "plan"},
          {"version", 1},
          {"model", plan.model},
          {"storage", plan.storage},
          {"dtype", at::toString(plan.dtype)},
          {"device", plan.on_gpu ? "cuda" : "cpu"},
          {"tokens", plan.batch.tokens},
          {"supervised_tokens", plan.batch.supervised_tokens},
          {"memory_bytes", core::json_of(plan.kinds)},
          {"shared_by_ranks_bytes", plan.shared_by_ranks},
          {"available_bytes", plan.available}};
}

std::string text_of(const MemoryPlan& plan) {
  std::string text =
      core::message("{} ({}, {}), a micro-batch of {} tokens on the {}: memory of one rank, GiB\n\n", plan.model,
                    plan.storage, at::toString(plan.dtype), plan.batch.tokens, plan.on_gpu ? "GPU" : "CPU");
  const core::Json kinds = core::json_of(plan.kinds);
  for (const auto& [name, value] : kinds.items())
    text += core::message("    {:<14} {:>10}\n", name, gib(value.get<std::int64_t>()));
  if (plan.shared_by_ranks > 0)
    text += core::message("\n  the ranks of a node share {} GiB of it\n", gib(plan.shared_by_ranks));
  if (plan.available > 0)
    text += core::message("\n  {} GiB are available here: one rank {}\n", gib(plan.available),
                          plan.kinds.peak <= plan.available ? "fits" : "does not fit");
  return text;
}

}  // namespace allreco::bench
