// What is due after a step, as transformers' DefaultFlowCallback decides it.
#pragma once
#include <cstdint>

#include "train/config.h"
#include "train/run_plan.h"

namespace allreco::train {

struct Due {
  bool log = false;
  bool evaluate = false;
  bool save = false;
};

/// After `completed_steps` steps. The last step logs (transformers does not), evaluates and saves whatever the
/// interval, unless the strategy is no.
Due due_after(const TrainConfig& config, const RunPlan& plan, std::int64_t completed_steps);

}  // namespace allreco::train
