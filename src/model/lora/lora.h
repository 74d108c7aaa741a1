// LoRA: one flat fp32 store of all factors, another of their gradients, in the order in which backward finishes them
// (last layer first; within a layer down, gate+up, o, q+k+v; in a group all A factors, then all B factors, then DoRA's
// magnitudes). Names and matrices are views into it.
//
// A start from the weight (PiSSA, OLoRA) changes the base to W - scaling B0 A0 in PEFT. The base is shared here, so a
// second, frozen pair stays beside the trained one: W + scaling (B A - B0 A0).
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/util/accumulate.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/decoder/projection.h"
#include "model/families/config.h"
#include "model/lora/lora_config.h"

namespace allreco::model {

/// Projections that share one input: their A factors are adjacent and multiply at once.
enum class LoraGroupKind { qkv, o, gate_up, down };
inline constexpr std::array kLoraGroups{LoraGroupKind::down, LoraGroupKind::gate_up, LoraGroupKind::o,
                                        LoraGroupKind::qkv};  // backward's order
/// The group that a projection belongs to.
LoraGroupKind lora_group_of(Projection projection);
inline constexpr size_t kNumLoraGroups = kLoraGroups.size();

/// The LoRA factors of one group in one layer, as views. R = sum of the members' r. With a frozen pair r is twice
/// the trained r: rows of a member's A are [A; A0], columns of its B [B, -B0].
struct LoraGroup {
  std::vector<Projection> members;      // targeted ones only; empty: the group has no LoRA
  std::vector<std::int64_t> r_offsets;  // members.size() + 1: rows of member i in a are [offset_i, offset_i+1)
  at::Tensor a;                         // [R, in], compute dtype
  std::vector<double> scalings;         // per member
  std::vector<at::Tensor> b;            // per member [out, r], compute dtype
  std::vector<at::Tensor> magnitudes;   // DoRA: per member [out], the masters themselves; else empty
  bool has_frozen_pair = false;
  /// DoRA's row norms of W + scaling B A, per member [out]: whoever needs them puts them here, refresh_compute_copy
  /// forgets them.
  mutable std::vector<at::Tensor> norms;

  /// Of so many rows of A, from a member's first: how many learn.
  std::int64_t trained(std::int64_t rows) const { return has_frozen_pair ? rows / 2 : rows; }
  /// Index of `projection` among the members; none where it is not targeted.
  std::optional<size_t> find(Projection projection) const;
};

/// The gradients of a group's factors, as views: backward adds to them. Of those that learn only, so with a frozen pair
/// R and r are half of what they are in the group. fp32 (float64 in float64 models).
struct LoraGroupGradients {
  at::Tensor a;                        // [R, in]
  std::vector<at::Tensor> b;           // per member [out, r]
  std::vector<at::Tensor> magnitudes;  // DoRA: per member [out]; else empty
};
using LoraLayerGradients = std::array<LoraGroupGradients, kNumLoraGroups>;  // by LoraGroupKind

enum class LoraFactor { a, b, magnitude };

/// Where one named factor lies in the flat store.
struct LoraEntry {
  std::string name;  // PEFT: base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight
  std::int64_t layer = 0;
  Projection projection = Projection::q;
  LoraFactor factor = LoraFactor::a;
  std::int64_t offset = 0;
  std::vector<std::int64_t> shape;  // A [r, in], B [out, r], magnitude [out]
  /// Of A and B: the dimension of length r.
  std::int64_t r_dim() const { return factor == LoraFactor::a ? 0 : 1; }
  std::int64_t numel() const { return c10::multiply_integers(shape); }
};

class LoraStore {
 public:
  /// Allocates and sets PEFT's start for init_lora_weights, each factor drawn from (seed, its name). `compute_dtype`:
  /// of the model's activations. The same values on any `device`. NaN until init_layer_from_weights
  /// (weight_init.h) or load_adapter sets them: DoRA's magnitudes, and factors that start from the weight.
  /// UserError before anything is allocated when that would take more than the memory that is available.
  LoraStore(const ModelConfig& model, const LoraConfig& config, at::ScalarType compute_dtype, std::uint64_t seed,
            at::Device device = at::kCPU);

  const LoraConfig& config() const { return config_; }
  std::int64_t num_layers() const { return static_cast<std::int64_t>(groups_.size()); }
  std::int64_t num_parameters() const { return num_parameters_; }

  /// Flat master parameters and gradients [P]; float32 (float64 when compute_dtype is float64). A Tensor's own const
  /// protects no element: those of a const store are for reading only.
  const at::Tensor& parameters() const { return parameters_; }
  at::Tensor parameters() { return parameters_; }
  const at::Tensor& gradients() const { return gradients_; }
  at::Tensor gradients() { return gradients_; }
  void zero_gradients();
  /// Casts the master parameters into the compute copy that the groups show (nothing to do when both dtypes are equal),
  /// and forgets the norms. Call after every change.
  void refresh_compute_copy();

  /// The frozen pair A0, B0 in the layout of the parameters [P]; undefined without one.
  const at::Tensor& frozen_pair() const { return frozen_pair_; }
  at::Tensor frozen_pair() { return frozen_pair_; }
  /// Casts it into what the groups show. Call after every change; refresh_compute_copy leaves it alone.
  void refresh_frozen_pair();

  const LoraGroup& group(std::int64_t layer, LoraGroupKind kind) const {
    return groups_[static_cast<size_t>(layer)][static_cast<size_t>(kind)];
  }
  /// Where backward of `layer` adds to the gradients.
  LoraLayerGradients& layer_gradients(std::int64_t layer) { return layer_gradients_[static_cast<size_t>(layer)]; }
  /// In flat order.
  const std::vector<LoraEntry>& entries() const { return entries_; }
  /// A view of `flat` (parameters, gradients or a moment of the same size) in the entry's shape.
  static at::Tensor view_of(const at::Tensor& flat, const LoraEntry& entry);

  /// The slice of the flat store that is complete when backward has left `layer`: [begin, end). Slices of layers last
  /// to first are adjacent.
  std::pair<std::int64_t, std::int64_t> slice_of_layer(std::int64_t layer) const;
  /// The lowest layer that has any LoRA factor: backward may stop there.
  std::int64_t first_layer_with_lora() const;

  /// The entries that such a store would have. Allocates no tensor.
  static std::vector<LoraEntry> entries_of(const ModelConfig& model, const LoraConfig& config) {
    return LoraStore(model, config).entries_;
  }

 private:
  LoraStore(const ModelConfig& model, const LoraConfig& config);  // laid out, not allocated
  void lay_out(const ModelConfig& model);
  void check_memory(std::int64_t bytes_per_parameter) const;
  void allocate(at::ScalarType compute_dtype, at::Device device);
  void make_views();
  LoraEntry in_compute(LoraEntry entry) const;
  void copy_to_pair(const at::Tensor& flat, bool frozen);
  void initialize(std::uint64_t seed);
  void add_entry(std::int64_t layer, Projection projection, LoraFactor factor, std::int64_t r,
                 const ModelConfig& model);
  LoraGroup& mutable_group(std::int64_t layer, LoraGroupKind kind) {
    return groups_[static_cast<size_t>(layer)][static_cast<size_t>(kind)];
  }

  LoraConfig config_;
  at::Tensor parameters_, gradients_;
  at::Tensor compute_;      // [P]; [2 P] with a frozen pair
  at::Tensor frozen_pair_;  // or undefined
  std::vector<LoraEntry> entries_;
  std::vector<std::array<LoraGroup, kNumLoraGroups>> groups_;
  std::vector<LoraLayerGradients> layer_gradients_;
  std::vector<std::pair<std::int64_t, std::int64_t>> slices_;
  std::int64_t num_parameters_ = 0;
};

}  // namespace allreco::model
