#include "train/due.h"

#include <string>

namespace allreco::train {
namespace {

bool strategy_is_due(const std::string& strategy, std::int64_t interval, const RunPlan& plan, std::int64_t step) {
  if (strategy == "no") return false;
  if (step == plan.num_steps) return true;
  return strategy == "epoch" ? plan.ends_epoch(step) : step % interval == 0;
}

}  // namespace

Due due_after(const TrainConfig& config, const RunPlan& plan, std::int64_t completed_steps) {
  Due due;
  due.log = completed_steps % config.logging_steps == 0 || completed_steps == plan.num_steps ||
            (completed_steps == 1 && config.logging_first_step);
  due.evaluate = strategy_is_due(config.eval_strategy, config.eval_interval(), plan, completed_steps);
  due.save = strategy_is_due(config.save_strategy, config.save_steps, plan, completed_steps);
  return due;
}

}  // namespace allreco::train
