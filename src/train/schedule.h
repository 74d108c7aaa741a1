// Learning-rate schedules with transformers' values: the same formulas in the same order of operations, so that every
// double is equal.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace allreco::train {

enum class ScheduleType { linear, cosine, constant, constant_with_warmup, cosine_with_min_lr };

/// UserError listing the known names.
ScheduleType schedule_type_from_name(const std::string& name);
const std::vector<std::string>& schedule_type_names();

/// What a run's learning rates follow from.
struct Schedule {
  ScheduleType type = ScheduleType::linear;
  double learning_rate = 0;           // the peak
  std::int64_t num_warmup_steps = 0;  // the rate climbs linearly from 0 during these
  std::int64_t num_training_steps = 1;
  double min_lr_rate = 0;  // cosine_with_min_lr: the lowest rate as a share of learning_rate

  /// The rate of optimiser step `step` (0-based). Source: transformers.optimization,
  /// _get_*_schedule_with_warmup_lr_lambda with num_cycles 0.5.
  double at(std::int64_t step) const;
};

}  // namespace allreco::train
