#include "model/lora.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/random.h"

namespace allreco::model {
using core::user_error;

namespace {

std::vector<Projection> projections_of(LoraGroupKind kind) {
  switch (kind) {
    case LoraGroupKind::qkv:
      return {Projection::q, Projection::k, Projection::v};
    case LoraGroupKind::o:
      return {Projection::o};
    case LoraGroupKind::gate_up:
      return {Projection::gate, Projection::up};
    case LoraGroupKind::down:
      return {Projection::down};
  }
  core::fault("no such LoRA group");
}

LoraEntry make_entry(std::int64_t layer, Projection projection, bool is_b, const ModelConfig& model, std::int64_t r) {
  const auto [out, in] = shape_of(projection, model);
  LoraEntry entry;
  entry.name = fmt::format("base_model.model.model.layers.{}.{}.lora_{}.weight", layer, module_path_of(projection),
                           is_b ? 'B' : 'A');
  entry.layer = layer;
  entry.projection = projection;
  entry.is_b = is_b;
  entry.shape = is_b ? std::vector{out, r} : std::vector{r, in};
  return entry;
}

/// PEFT's kaiming_uniform_(a = sqrt 5), which is U(-1/sqrt(in), 1/sqrt(in)).
template <class T>
void draw_a(T* values, const LoraEntry& entry, std::uint64_t seed) {
  const double bound = 1 / std::sqrt(static_cast<double>(entry.shape[1]));
  core::RandomStream stream(core::mix_key(seed, {core::key_of("lora_A"), core::key_of(entry.name)}));
  for (std::int64_t i = 0; i < entry.numel(); ++i) values[i] = static_cast<T>((2 * stream.next_uniform() - 1) * bound);
}

}  // namespace

double LoraConfig::scaling() const {
  const auto rank = static_cast<double>(r);
  return lora_alpha / (use_rslora ? std::sqrt(rank) : rank);
}

std::vector<Projection> LoraConfig::targets() const {
  if (target_modules == std::vector<std::string>{"all-linear"}) return {kProjections.begin(), kProjections.end()};
  std::vector<Projection> targets;
  for (const std::string& name : target_modules) {
    const auto projection = projection_from_name(name);
    if (!projection) {
      user_error(
          "target_modules: unknown module {}, expected all-linear or some of q_proj, k_proj, v_proj, o_proj, "
          "gate_proj, "
          "up_proj, down_proj",
          name);
    }
    targets.push_back(*projection);
  }
  std::sort(targets.begin(), targets.end());
  targets.erase(std::unique(targets.begin(), targets.end()), targets.end());
  return targets;
}

void validate(const LoraConfig& config) {
  if (config.r < 1) user_error("lora_r = {} is out of range, expected at least 1", config.r);
  if (!(config.lora_alpha > 0) || !std::isfinite(config.lora_alpha)) {
    user_error("lora_alpha = {} is out of range, expected a number above 0", config.lora_alpha);
  }
  if (!(config.lora_dropout >= 0 && config.lora_dropout < 1)) {
    user_error("lora_dropout = {} is out of range, expected 0 <= lora_dropout < 1", config.lora_dropout);
  }
  if (config.init_lora_weights != "true") {
    user_error("init_lora_weights = {} is not supported, expected true", config.init_lora_weights);
  }
  if (config.targets().empty()) user_error("target_modules is empty, expected all-linear or names like q_proj");
}

LoraStore::LoraStore(const ModelConfig& model, const LoraConfig& config, at::ScalarType compute_dtype,
                     std::uint64_t seed, at::Device device)
    : config_(config), scaling_(config.scaling()) {
  validate(config);
  lay_out(model);
  allocate(compute_dtype, device);
  make_views();
  initialize(seed);
}

void LoraStore::lay_out(const ModelConfig& model) {
  const std::vector<Projection> targets = config_.targets();
  groups_.resize(static_cast<size_t>(model.num_hidden_layers));
  slices_.resize(groups_.size());
  std::int64_t offset = 0;
  for (std::int64_t layer = model.num_hidden_layers - 1; layer >= 0; --layer) {
    const std::int64_t begin = offset;
    for (const LoraGroupKind kind : kLoraGroups) {
      LoraGroup& group = mutable_group(layer, kind);
      for (const Projection p : projections_of(kind)) {
        if (std::find(targets.begin(), targets.end(), p) != targets.end()) group.members.push_back(p);
      }
      for (const bool is_b : {false, true}) {
        for (const Projection p : group.members) {
          LoraEntry& entry = entries_.emplace_back(make_entry(layer, p, is_b, model, config_.r));
          entry.offset = offset;
          offset += entry.numel();
        }
      }
    }
    slices_[static_cast<size_t>(layer)] = {begin, offset};
  }
  num_parameters_ = offset;
}

void LoraStore::allocate(at::ScalarType compute_dtype, at::Device device) {
  const at::ScalarType master_dtype = compute_dtype == at::kDouble ? at::kDouble : at::kFloat;
  const auto master = at::TensorOptions().dtype(master_dtype).device(device);
  parameters_ = at::zeros({num_parameters_}, master);
  gradients_ = at::zeros({num_parameters_}, master);
  compute_ = compute_dtype == master_dtype ? parameters_ : at::empty({num_parameters_}, master.dtype(compute_dtype));
}

/// Entries come group by group, the A factors of a group side by side: one matrix [R, in] spans them all.
void LoraStore::make_views() {
  auto entry = entries_.begin();
  for (std::int64_t layer = num_layers() - 1; layer >= 0; --layer) {
    for (const LoraGroupKind kind : kLoraGroups) {
      LoraGroup& group = mutable_group(layer, kind);
      if (group.members.empty()) continue;
      group.rank_offsets = {0};
      LoraEntry stacked = *entry;
      stacked.shape[0] = 0;
      for (size_t i = 0; i < group.members.size(); ++i, ++entry) {
        stacked.shape[0] += entry->shape[0];
        group.rank_offsets.push_back(stacked.shape[0]);
      }
      group.a = view_of(compute_, stacked);
      group.grad_a = view_of(gradients_, stacked);
      for (size_t i = 0; i < group.members.size(); ++i, ++entry) {
        group.b.push_back(view_of(compute_, *entry));
        group.grad_b.push_back(view_of(gradients_, *entry));
      }
    }
  }
}

void LoraStore::initialize(std::uint64_t seed) {
  const at::Tensor drawn = at::zeros({num_parameters_}, parameters_.scalar_type());  // on the CPU
  for (const LoraEntry& entry : entries_) {
    if (entry.is_b) continue;
    if (drawn.scalar_type() == at::kDouble) {
      draw_a(drawn.mutable_data_ptr<double>() + entry.offset, entry, seed);
    } else {
      draw_a(drawn.mutable_data_ptr<float>() + entry.offset, entry, seed);
    }
  }
  parameters_.copy_(drawn);
  refresh_compute_copy();
}

void LoraStore::zero_gradients() { gradients_.zero_(); }

void LoraStore::refresh_compute_copy() {
  if (!compute_.is_same(parameters_)) compute_.copy_(parameters_);
}

at::Tensor LoraStore::view_of(const at::Tensor& flat, const LoraEntry& entry) {
  return flat.narrow(0, entry.offset, entry.numel()).view(entry.shape);
}

std::pair<std::int64_t, std::int64_t> LoraStore::slice_of_layer(std::int64_t layer) const {
  return slices_[static_cast<size_t>(layer)];
}

std::int64_t LoraStore::first_layer_with_lora() const { return 0; }  // every layer is targeted alike

}  // namespace allreco::model
