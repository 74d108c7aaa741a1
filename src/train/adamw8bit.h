// bitsandbytes' AdamW8bit over the flat LoRA store (ops/adamw8bit.h): about 2 bytes of state a parameter instead of 8.
// Tensors under 4096 elements keep moments in float32, as there. A block of 256 never spans two tensors.
//
// The state lies flat: codes of all large tensors one after another, in flat order, with their blocks' absmax; the
// float32 moments of the small ones likewise.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/ops/adamw8bit.h"
#include "train/adamw.h"
#include "train/optimizer.h"

namespace allreco::train {

/// bitsandbytes' min_8bit_size: smaller tensors keep 32-bit moments.
inline constexpr std::int64_t kMin8BitSize = 4096;

class AdamW8Bit : public Optimizer {
 public:
  /// As AdamW. REQUIRES parameters in float32.
  AdamW8Bit(at::Tensor parameters, std::vector<ParamGroup> slices, const AdamWConfig& config);

  void step(const at::Tensor& gradients, double learning_rate, double gradient_factor = 1) override;
  /// state1, state2 (the codes, as int64: padded to 8), absmax1, absmax2, exp_avg, exp_avg_sq
  std::vector<at::Tensor> state() const override;
  /// Of a large tensor state1.<name>, state2.<name> U8 and absmax1.<name>, absmax2.<name> F32 [blocks]; of a small one
  /// exp_avg.<name>, exp_avg_sq.<name> F32.
  std::vector<model::NamedTensor> named_views(const std::vector<at::Tensor>& state) const override;

 private:
  /// Neighbours in the store that are updated at once: one rate, one precision, and blocks that meet at their borders.
  struct Run {
    std::int64_t begin = 0, end = 0;  // in the flat store
    std::int64_t state_begin = 0;     // of its codes, or of its float32 moments
    std::int64_t first_block = 0;     // of its absmax
    double learning_rate_factor = 1;
    bool is_8bit = true;
    std::int64_t numel() const { return end - begin; }
  };
  /// Where one tensor's state begins.
  struct Place {
    std::int64_t state_begin = 0;
    std::int64_t first_block = 0;
  };
  void lay_out();
  void join_or_append(const Run& run);
  void step_8bit(const Run& run, const at::Tensor& gradients, double learning_rate, double gradient_factor);
  void step_32bit(const Run& run, const at::Tensor& gradients, double learning_rate, double gradient_factor);

  AdamWConfig config_;
  std::vector<ParamGroup> slices_;
  std::vector<Place> places_;  // of the slices
  std::vector<Run> runs_;
  std::int64_t num_8bit_ = 0, num_blocks_ = 0, num_32bit_ = 0;
  at::Tensor parameters_;
  at::Tensor state1_, state2_;  // int64, 8 codes each
  at::Tensor absmax1_, absmax2_;
  at::Tensor exp_avg_, exp_avg_sq_;
  model::ops::AdamW8BitMaps maps_;
};

}  // namespace allreco::train
