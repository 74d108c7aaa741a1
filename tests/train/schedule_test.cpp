#include "train/schedule.h"

#include <gtest/gtest.h>

#include "core/check.h"
#include "core/json.h"
#include "train/files.h"

namespace allreco::train {
namespace {

// Oracle: transformers.get_scheduler. Every double must be the same, so there is no tolerance.
TEST(Schedule, EqualsTransformersBitForBit) {
  const core::Json golden = core::read_json_file(fixture("golden/schedules.json"));
  size_t num_compared = 0;
  for (const auto& [name, rates] : golden.at("schedules").items()) {
    const Schedule schedule{.type = schedule_type_from_name(name),
                            .learning_rate = golden.at("base_lr").get<double>(),
                            .num_warmup_steps = golden.at("warmup_steps").get<std::int64_t>(),
                            .num_training_steps = golden.at("num_training_steps").get<std::int64_t>(),
                            .min_lr_rate = golden.at("min_lr_rate").get<double>()};
    for (size_t step = 0; step < rates.size(); ++step, ++num_compared) {
      EXPECT_EQ(schedule.at(static_cast<std::int64_t>(step)), rates[step].get<double>()) << name << ", step " << step;
    }
  }
  EXPECT_EQ(num_compared, 4u * 31u);
}

TEST(Schedule, ConstantIgnoresTimeAndShortRunsStayFinite) {
  EXPECT_EQ((Schedule{.type = ScheduleType::constant, .learning_rate = 0.5, .num_training_steps = 3}.at(2)), 0.5);
  // A run that ends within its warm-up never divides by zero.
  const Schedule all_warmup{
      .type = ScheduleType::linear, .learning_rate = 1, .num_warmup_steps = 4, .num_training_steps = 4};
  EXPECT_EQ(all_warmup.at(0), 0.0);
  EXPECT_EQ(all_warmup.at(3), 0.75);
  EXPECT_EQ(all_warmup.at(4), 0.0);
  EXPECT_THROW(schedule_type_from_name("polynomial"), core::UserError);
}

}  // namespace
}  // namespace allreco::train
