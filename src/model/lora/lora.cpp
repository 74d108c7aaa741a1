#include "model/lora/lora.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/check.h"
#include "core/memory.h"
#include "core/random.h"
#include "model/lora/adapter_targets.h"

namespace allreco::model {

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

/// PEFT's name of a factor in the file.
std::string tensor_name(std::int64_t layer, Projection projection, LoraFactor factor) {
  const char* end = factor == LoraFactor::a   ? "lora_A.weight"
                    : factor == LoraFactor::b ? "lora_B.weight"
                                              : "lora_magnitude_vector";
  return fmt::format("base_model.model.model.layers.{}.{}.{}", layer, module_path_of(projection), end);
}

/// PEFT's kaiming_uniform_(a = sqrt 5), which is U(-1/sqrt(columns), 1/sqrt(columns)).
template <class T>
void draw_uniform(T* values, const LoraEntry& entry, core::RandomStream& stream) {
  const double bound = 1 / std::sqrt(static_cast<double>(entry.shape[1]));
  for (std::int64_t i = 0; i < entry.numel(); ++i) values[i] = static_cast<T>((2 * stream.next_uniform() - 1) * bound);
}

/// PEFT's gaussian A: deviation 1 / r.
template <class T>
void draw_normal(T* values, const LoraEntry& entry, core::RandomStream& stream) {
  const double deviation = 1 / static_cast<double>(entry.shape[0]);
  for (std::int64_t i = 0; i < entry.numel(); ++i) values[i] = static_cast<T>(stream.next_normal() * deviation);
}

template <class T>
void draw(T* flat, const LoraEntry& entry, const std::string& initialization, std::uint64_t seed) {
  T* values = flat + entry.offset;
  const char* key = entry.factor == LoraFactor::a ? "lora_A" : "lora_B";
  core::RandomStream stream(core::mix_key(seed, {core::key_of(key), core::key_of(entry.name)}));
  if (entry.factor == LoraFactor::magnitude) {
    std::fill_n(values, entry.numel(), std::numeric_limits<T>::quiet_NaN());
  } else if (initialization == "false" || (initialization == "true" && entry.factor == LoraFactor::a)) {
    draw_uniform(values, entry, stream);
  } else if (entry.factor == LoraFactor::a) {
    draw_normal(values, entry, stream);
  }
}

}  // namespace

LoraGroupKind lora_group_of(Projection projection) {
  for (const LoraGroupKind kind : kLoraGroups) {
    const std::vector<Projection> members = projections_of(kind);
    if (std::find(members.begin(), members.end(), projection) != members.end()) return kind;
  }
  core::fault("no such projection");
}

std::optional<size_t> LoraGroup::find(Projection projection) const {
  const auto found = std::find(members.begin(), members.end(), projection);
  if (found == members.end()) return std::nullopt;
  return static_cast<size_t>(found - members.begin());
}

LoraStore::LoraStore(const ModelConfig& model, const LoraConfig& config) : config_(config) {
  validate(config);
  lay_out(model);
}

LoraStore::LoraStore(const ModelConfig& model, const LoraConfig& config, at::ScalarType compute_dtype,
                     std::uint64_t seed, at::Device device)
    : LoraStore(model, config) {
  allocate(compute_dtype, device);
  make_views();
  initialize(seed);
}

void LoraStore::lay_out(const ModelConfig& model) {
  const std::vector<LayerTargets> targets = resolve_targets(config_, model);
  groups_.resize(targets.size());
  slices_.resize(targets.size());
  for (std::int64_t layer = num_layers() - 1; layer >= 0; --layer) {
    const LayerTargets& of_layer = targets[static_cast<size_t>(layer)];
    const std::int64_t begin = num_parameters_;
    for (const LoraGroupKind kind : kLoraGroups) {
      LoraGroup& group = mutable_group(layer, kind);
      for (const Projection p : projections_of(kind)) {
        if (!of_layer[index_of(p)]) continue;
        group.members.push_back(p);
        group.scalings.push_back(of_layer[index_of(p)]->scaling);
      }
      for (const LoraFactor factor : {LoraFactor::a, LoraFactor::b, LoraFactor::magnitude}) {
        if (factor == LoraFactor::magnitude && !config_.use_dora) continue;
        for (const Projection p : group.members) add_entry(layer, p, factor, of_layer[index_of(p)]->r, model);
      }
    }
    slices_[static_cast<size_t>(layer)] = {begin, num_parameters_};
  }
}

void LoraStore::add_entry(std::int64_t layer, Projection projection, LoraFactor factor, std::int64_t r,
                          const ModelConfig& model) {
  const auto [out, in] = shape_of(projection, model);
  LoraEntry& entry = entries_.emplace_back();
  entry.name = tensor_name(layer, projection, factor);
  entry.layer = layer;
  entry.projection = projection;
  entry.factor = factor;
  entry.offset = num_parameters_;
  entry.shape = factor == LoraFactor::a   ? std::vector{r, in}
                : factor == LoraFactor::b ? std::vector{out, r}
                                          : std::vector{out};
  // Checked sizes of one layer cannot overflow, but ranks of 65,536 in all layers of a huge model could.
  if (__builtin_add_overflow(num_parameters_, entry.numel(), &num_parameters_))
    core::user_error("lora_r = {}: the LoRA parameters of this model cannot be counted; give a smaller one", config_.r);
}

/// `bytes_per_parameter`: in the host's memory.
void LoraStore::check_memory(std::int64_t bytes_per_parameter) const {
  const std::int64_t available = core::available_memory_bytes();
  if (bytes_per_parameter == 0 || num_parameters_ <= available / bytes_per_parameter) return;
  core::user_error(
      "lora_r = {} gives {} LoRA parameters, which take {:.1f} GB with their gradients and copies; {:.1f} GB of memory "
      "are available: give a smaller lora_r, or fewer target_modules",
      config_.r, num_parameters_,
      1e-9 * static_cast<double>(num_parameters_) * static_cast<double>(bytes_per_parameter),
      1e-9 * static_cast<double>(available));
}

void LoraStore::allocate(at::ScalarType compute_dtype, at::Device device) {
  const at::ScalarType master_dtype = compute_dtype == at::kDouble ? at::kDouble : at::kFloat;
  const auto master = at::TensorOptions().dtype(master_dtype).device(device);
  const bool has_pair = config_.initializes_from_weight(), has_copy = has_pair || compute_dtype != master_dtype;
  const auto size = static_cast<std::int64_t>(c10::elementSize(master_dtype));
  const auto copy_size = static_cast<std::int64_t>(has_copy ? c10::elementSize(compute_dtype) : 0);
  const std::int64_t kept = has_pair ? 3 * size + 2 * copy_size : 2 * size + copy_size, drawn = has_pair ? 0 : size;
  check_memory((device.is_cpu() ? kept : 0) + drawn);
  parameters_ = at::zeros({num_parameters_}, master);
  gradients_ = at::zeros({num_parameters_}, master);
  if (has_pair) {
    frozen_pair_ = at::zeros({num_parameters_}, master);
    compute_ = at::empty({2 * num_parameters_}, master.dtype(compute_dtype));
  } else {
    compute_ = has_copy ? at::empty({num_parameters_}, master.dtype(compute_dtype)) : parameters_;
  }
}

/// Where an entry lies in compute_: with a frozen pair all are twice as large.
LoraEntry LoraStore::in_compute(LoraEntry entry) const {
  if (!frozen_pair_.defined()) return entry;
  entry.offset *= 2;
  entry.shape[static_cast<size_t>(entry.r_dim())] *= 2;
  return entry;
}

/// Entries come group by group, the A factors of a group side by side: one matrix [R, in] spans them all.
void LoraStore::make_views() {
  layer_gradients_.resize(groups_.size());
  auto entry = entries_.begin();
  for (std::int64_t layer = num_layers() - 1; layer >= 0; --layer) {
    for (const LoraGroupKind kind : kLoraGroups) {
      LoraGroup& group = mutable_group(layer, kind);
      if (group.members.empty()) continue;
      LoraGroupGradients& gradients = layer_gradients(layer)[static_cast<size_t>(kind)];
      group.has_frozen_pair = frozen_pair_.defined();
      group.r_offsets = {0};
      LoraEntry stacked = *entry;
      stacked.shape[0] = 0;
      for (size_t i = 0; i < group.members.size(); ++i, ++entry) {
        stacked.shape[0] += entry->shape[0];
        group.r_offsets.push_back(in_compute(stacked).shape[0]);
      }
      group.a = view_of(compute_, in_compute(stacked));
      gradients.a = view_of(gradients_, stacked);
      for (size_t i = 0; i < group.members.size(); ++i, ++entry) {
        group.b.push_back(view_of(compute_, in_compute(*entry)));
        gradients.b.push_back(view_of(gradients_, *entry));
      }
      if (!config_.use_dora) continue;
      for (size_t i = 0; i < group.members.size(); ++i, ++entry) {
        group.magnitudes.push_back(view_of(parameters_, *entry));
        gradients.magnitudes.push_back(view_of(gradients_, *entry));
      }
    }
  }
}

void LoraStore::initialize(std::uint64_t seed) {
  if (frozen_pair_.defined()) {
    parameters_.fill_(std::numeric_limits<double>::quiet_NaN());
    frozen_pair_.copy_(parameters_);
    refresh_frozen_pair();
    refresh_compute_copy();
    return;
  }
  const at::Tensor drawn = at::zeros({num_parameters_}, parameters_.scalar_type());  // on the CPU
  for (const LoraEntry& entry : entries_) {
    if (drawn.scalar_type() == at::kDouble) {
      draw(drawn.mutable_data_ptr<double>(), entry, config_.init_lora_weights, seed);
    } else {
      draw(drawn.mutable_data_ptr<float>(), entry, config_.init_lora_weights, seed);
    }
  }
  parameters_.copy_(drawn);
  refresh_compute_copy();
}

void LoraStore::zero_gradients() { gradients_.zero_(); }

void LoraStore::refresh_compute_copy() {
  if (frozen_pair_.defined()) {
    copy_to_pair(parameters_, /*frozen=*/false);
  } else if (!compute_.is_same(parameters_)) {
    compute_.copy_(parameters_);
  }
  for (auto& layer : groups_) {
    for (LoraGroup& group : layer) group.norms.assign(group.magnitudes.size(), at::Tensor());
  }
}

void LoraStore::refresh_frozen_pair() {
  if (frozen_pair_.defined()) copy_to_pair(frozen_pair_, /*frozen=*/true);
}

/// Into one half of each factor: [A; A0] and [B, -B0].
void LoraStore::copy_to_pair(const at::Tensor& flat, bool frozen) {
  for (const LoraEntry& entry : entries_) {
    const std::int64_t dim = entry.r_dim(), r = entry.shape[static_cast<size_t>(dim)];
    const at::Tensor half = view_of(compute_, in_compute(entry)).narrow(dim, frozen ? r : 0, r);
    half.copy_(view_of(flat, entry));
    if (frozen && entry.factor == LoraFactor::b) half.neg_();
  }
}

at::Tensor LoraStore::view_of(const at::Tensor& flat, const LoraEntry& entry) {
  return flat.narrow(0, entry.offset, entry.numel()).view(entry.shape);
}

std::pair<std::int64_t, std::int64_t> LoraStore::slice_of_layer(std::int64_t layer) const {
  return slices_[static_cast<size_t>(layer)];
}

std::int64_t LoraStore::first_layer_with_lora() const {
  return entries_.back().layer;
}  // the last that backward reaches

}  // namespace allreco::model
