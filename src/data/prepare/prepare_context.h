// PrepareContext: what every step of a preparation works with.
#pragma once
#include <cstdint>

#include "data/prepare/memory_plan.h"
#include "data/prepare/prepare_progress.h"
#include "data/prepare/ranks.h"

namespace allreco::data {

struct PrepareContext {
  PrepareRanks& ranks;
  std::int64_t num_threads = 1;  // of this rank
  MemoryPlan memory;
  PrepareProgress& progress;
};

}  // namespace allreco::data
