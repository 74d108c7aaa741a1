// LoraLinear: the frozen projections of one layer that share an input, with their LoRA factors; forward and backward
// side by side. Legend: T rows, in/out features, R the sum of the run's r, r LoRA's rank in one projection.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "model/decoder/weights.h"
#include "model/lora/dora.h"
#include "model/lora/lora.h"

namespace allreco::model {

/// Where the dropout masks of one layer's input rows come from; probability 0: no dropout.
struct DropoutPlace {
  double probability = 0;
  std::uint64_t layer_key = 0;  // step and layer
  at::Tensor row_keys;          // int64 [T]: sample and position of each row
};

/// What backward needs of a run's forward.
struct LoraLinearActivations {
  at::Tensor low_rank;                 // x A^T [T, R]
  std::vector<at::Tensor> directions;  // DoRA, per LoRA member: dropout(x) (W + scaling B A)^T [T, out]
};

class LoraLinear {
 public:
  /// `run`: neighbours in kProjections order that read the same input; `group` holds their LoRA factors, or is null.
  /// Backward adds to `gradients`; null: forward only.
  LoraLinear(const LayerWeights& weights, std::span<const Projection> run, const LoraGroup* group,
             LoraGroupGradients* gradients);

  bool has_lora() const { return num_lora_ > 0; }

  /// y_i = x W_i^T + scaling_i (dropout_i(x) A_i^T) B_i^T, each [T, out_i], for x [T, in]. A frozen pair is part of the
  /// base to PEFT: what it subtracts sees x without dropout. With DoRA, as in PEFT,
  /// y_i = (x - dropout_i(x)) W_i^T + magnitude_i / norm_i * dropout_i(x) (W_i + scaling_i B_i A_i)^T, where norm_i are
  /// the row norms of that sum. `kept`, where not null, receives what backward needs.
  std::vector<at::Tensor> forward(const at::Tensor& x, const DropoutPlace& dropout, LoraLinearActivations* kept) const;

  /// Adds the factors' gradients; DoRA's norms count as constants (section 4.3 of arXiv:2402.09353). The
  /// gradient for x [T, in] is added to `*dx`, or assigned where that is undefined; null: not wanted.
  void backward(const at::Tensor& x, const LoraLinearActivations& kept, const std::vector<at::Tensor>& dys,
                const DropoutPlace& dropout, at::Tensor* dx);

 private:
  struct Member {
    const FrozenLinear* base;
    Projection projection;
    std::int64_t lora = -1;  // index among the run's LoRA members, or -1
    std::optional<Dora> dora = {};
  };
  std::int64_t r_begin(std::int64_t lora) const;
  std::int64_t r_of(std::int64_t lora) const;
  at::Tensor a_of_run() const;                                   // [R, in]
  at::Tensor grad_a_of(std::int64_t first, std::int64_t count);  // LoRA members: [their trained r, in]
  at::Tensor a_of(std::int64_t lora) const;                      // [r, in]
  const at::Tensor& b_of(std::int64_t lora) const;               // [out, r]
  double scaling_of(std::int64_t lora) const { return group_->scalings[member_of(lora)]; }
  size_t member_of(std::int64_t lora) const { return static_cast<size_t>(first_lora_ + lora); }
  /// What learns of a member's r rows or columns along `dim`; and what is the frozen pair's.
  at::Tensor trained_part(const at::Tensor& t, std::int64_t dim) const;
  at::Tensor frozen_part(const at::Tensor& t, std::int64_t dim) const;
  at::Tensor low_rank(const at::Tensor& x, const DropoutPlace& dropout) const;
  at::Tensor with_dora(const at::Tensor& y, const at::Tensor& x, const at::Tensor& z, const Member& member,
                       const DropoutPlace& dropout, LoraLinearActivations* kept) const;
  void add_gradient_of_a(const at::Tensor& dz, const at::Tensor& x);
  void backward_dropped(const at::Tensor& x, const at::Tensor& dz, const at::Tensor& d_dropped_base,
                        const Member& member, const DropoutPlace& dropout, at::Tensor* dx);
  static std::uint64_t dropout_key(const Member& member, const DropoutPlace& dropout);
  at::Tensor dropped(const at::Tensor& x, const Member& member, const DropoutPlace& dropout) const;

  std::vector<Member> members_;
  const LoraGroup* group_ = nullptr;
  LoraGroupGradients* gradients_ = nullptr;
  std::int64_t first_lora_ = 0;  // index in group_->members of the run's first LoRA member
  std::int64_t num_lora_ = 0;
};

}  // namespace allreco::model
