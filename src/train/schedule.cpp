#include "train/schedule.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/check.h"

namespace allreco::train {

const std::vector<std::string>& schedule_type_names() {
  static const std::vector<std::string> names{"linear", "cosine", "constant",
                                              "constant_with_warmup",  // as ScheduleType
                                              "cosine_with_min_lr"};
  return names;
}

ScheduleType schedule_type_from_name(const std::string& name) {
  const auto& names = schedule_type_names();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end())
    core::user_error("lr_scheduler_type = {}: expected one of {}", name, fmt::join(names, ", "));
  return static_cast<ScheduleType>(found - names.begin());
}

double Schedule::at(std::int64_t step) const {
  if (type == ScheduleType::constant) return learning_rate;
  if (step < num_warmup_steps) {
    return learning_rate * (static_cast<double>(step) / static_cast<double>(num_warmup_steps));
  }
  if (type == ScheduleType::constant_with_warmup) return learning_rate;
  const auto decay_steps = static_cast<double>(std::max<std::int64_t>(1, num_training_steps - num_warmup_steps));
  if (type == ScheduleType::linear) {
    return learning_rate * std::max(0.0, static_cast<double>(num_training_steps - step) / decay_steps);
  }
  const double progress = static_cast<double>(step - num_warmup_steps) / decay_steps;
  const double cosine = 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
  if (type == ScheduleType::cosine) return learning_rate * std::max(0.0, cosine);
  return learning_rate * std::max(0.0, cosine * (1 - min_lr_rate) + min_lr_rate);
}

}  // namespace allreco::train
