#include "train/optimizer.h"

#include <functional>
#include <numeric>

#include "core/check.h"
#include "train/adamw.h"
#include "train/adamw8bit.h"

namespace allreco::train {

OptimizerType optimizer_type_from_name(const std::string& optim) {
  if (optim == "adamw_torch") return OptimizerType::adamw_torch;
  if (optim == "adamw_8bit" || optim == "adamw_bnb_8bit") return OptimizerType::adamw_8bit;
  core::user_error("optim = {}: expected one of adamw_torch, adamw_8bit, adamw_bnb_8bit", optim);
}

std::string name_of(OptimizerType type) { return type == OptimizerType::adamw_torch ? "adamw_torch" : "adamw_8bit"; }

std::int64_t numel_of(const std::vector<std::int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

std::vector<ParamGroup> param_groups(const model::LoraStore& store, double loraplus_lr_ratio) {
  std::vector<ParamGroup> slices;
  for (const model::LoraEntry& entry : store.entries()) {
    const bool is_a = entry.factor == model::LoraFactor::a;
    slices.push_back({entry.name, entry.offset, entry.shape, is_a || loraplus_lr_ratio == 0 ? 1 : loraplus_lr_ratio});
  }
  return slices;
}

std::unique_ptr<Optimizer> make_optimizer(OptimizerType type, const model::LoraStore& store,
                                          const AdamWConfig& config) {
  auto slices = param_groups(store, config.loraplus_lr_ratio);
  if (type == OptimizerType::adamw_8bit)
    return std::make_unique<AdamW8Bit>(store.parameters(), std::move(slices), config);
  return std::make_unique<AdamW>(store.parameters(), std::move(slices), config);
}

}  // namespace allreco::train
