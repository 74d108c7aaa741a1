#include "bench/config.h"

#include "core/check.h"

namespace allreco::bench {

void validate(const BenchConfig& config) {
  if (config.collectives && config.plan)
    core::user_error("collectives = true and plan = true: one after the other, in two calls");
  if (config.collectives) return;
  if (config.base.model_name_or_path.empty())
    core::user_error(
        "model_name_or_path is missing: a model directory or a shape, as random:tinyllama-1.1b; collectives = true "
        "needs none");
  if (config.plan && !config.train.dataset.empty())
    core::user_error(
        "plan = true reads no examples, so dataset = {} says nothing: give sequence_length, the tokens of its longest "
        "examples",
        config.train.dataset);
}

}  // namespace allreco::bench
