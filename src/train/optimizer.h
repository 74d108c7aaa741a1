// Optimizer: what updates the flat LoRA store. Its state is a few flat buffers beside the store, which a checkpoint
// holds tensor by tensor under PEFT's names.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/checkpoint/safetensors.h"
#include "model/lora/lora.h"

namespace allreco::train {

/// optim = adamw_torch (moments in float32) or adamw_8bit (bitsandbytes' AdamW8bit).
enum class OptimizerType { adamw_torch, adamw_8bit };
/// Also takes transformers' other name of adamw_8bit, adamw_bnb_8bit. UserError for any other.
OptimizerType optimizer_type_from_name(const std::string& optim);
std::string name_of(OptimizerType type);

struct AdamWConfig {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
  double loraplus_lr_ratio = 0;  // LoRA+ (Hayou et al. 2024): the B factors learn with this times the rate; 0: off
};

std::int64_t numel_of(const std::vector<std::int64_t>& shape);

/// One tensor in the flat store.
struct ParamGroup {
  std::string name;
  std::int64_t begin = 0;
  std::vector<std::int64_t> shape;
  double learning_rate_factor = 1;
  std::int64_t numel() const { return numel_of(shape); }
};

/// The store's tensors in flat order. As in PEFT's create_loraplus_optimizer all but the A factors learn with
/// loraplus_lr_ratio times the rate, and all decay alike.
std::vector<ParamGroup> param_groups(const model::LoraStore& store, double loraplus_lr_ratio = 0);

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// One update with gradient_factor * gradients. REQUIRES gradients of the parameters' size. May overwrite `gradients`
  /// with the scaled ones.
  virtual void step(const at::Tensor& gradients, double learning_rate, double gradient_factor = 1) = 0;

  /// The flat buffers of the state, on the parameters' device, of dtypes that a Communicator takes; some may be empty.
  virtual std::vector<at::Tensor> state() const = 0;
  /// What a checkpoint calls its parts: views into `state`, which is state() or a copy of it.
  virtual std::vector<model::NamedTensor> named_views(const std::vector<at::Tensor>& state) const = 0;

  /// Updates made so far: with the state, all that a checkpoint holds.
  std::int64_t num_updates() const { return num_updates_; }
  void set_num_updates(std::int64_t count) { num_updates_ = count; }

 protected:
  Optimizer() = default;
  std::int64_t num_updates_ = 0;
};

/// Over store.parameters(), which step() updates in place. The state is zero.
std::unique_ptr<Optimizer> make_optimizer(OptimizerType type, const model::LoraStore& store, const AdamWConfig& config);

}  // namespace allreco::train
