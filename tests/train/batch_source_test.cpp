// The prefetcher: the same batches in the same order, errors in their place, and an orderly end at any time.
#include "train/batch_source.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "core/check.h"
#include "support/temporary_directory.h"
#include "train/files.h"
#include "train/tiny_run.h"

namespace allreco::train {
namespace {

/// The parameter: num_workers.
class BatchSourceTest : public ::testing::TestWithParam<std::int64_t> {
 protected:
  BatchSourceTest() { write_random_dataset(scratch_.path() / "data", 12); }
  support::TemporaryDirectory scratch_;
};
INSTANTIATE_TEST_SUITE_P(NumWorkers, BatchSourceTest, ::testing::Values(0, 1));

/// Step s: samples s and s + 1 in one shard, s + 2 in the next; but step 4 is one of more ranks than samples.
StepPlan plan_of(std::int64_t step) {
  StepPlan plan{.tokens = 100 + step, .supervised_tokens = 10 + step, .shards = {{}, {}}};
  if (step != 4) plan.shards = {{{step, step + 1}}, {{step + 2}}};
  return plan;
}

TEST_P(BatchSourceTest, GivesThePlanAndTheBatchesOfEachStepInOrder) {
  const data::Dataset dataset(scratch_.path() / "data", "train");
  std::vector<std::int64_t> planned;
  const auto recording = [&](std::int64_t step) {
    planned.push_back(step);
    return plan_of(step);
  };
  BatchSource source(dataset, recording, {.first_step = 2, .end_step = 8, .num_workers = GetParam(), .max_ready = 3});
  for (std::int64_t step = 2; step < 8; ++step) {
    const StepPlan plan = source.next_step();
    EXPECT_EQ(plan.tokens, 100 + step);
    EXPECT_EQ(plan.supervised_tokens, 10 + step);
    EXPECT_EQ(plan.shards, plan_of(step).shards);
    for (const auto& samples : plan_of(step).micro_batches()) {
      const MicroBatch found = source.next(), wanted = pack_micro_batch(dataset, samples);
      ASSERT_EQ(found.batch.has_value(), wanted.batch.has_value());
      if (!wanted.batch) continue;
      EXPECT_TRUE(found.batch->tokens.equal(wanted.batch->tokens)) << step;
      EXPECT_TRUE(found.batch->targets.equal(wanted.batch->targets)) << step;
      EXPECT_EQ(found.batch->sample_keys, wanted.batch->sample_keys) << step;
    }
  }
  EXPECT_THROW(source.next(), core::Fault);
  EXPECT_THROW(source.next_step(), core::Fault);
  EXPECT_EQ(planned, (std::vector<std::int64_t>{2, 3, 4, 5, 6, 7})) << "once each";
}

TEST_P(BatchSourceTest, AnErrorComesInItsPlaceAndStays) {
  const data::Dataset dataset(scratch_.path() / "data", "train");
  const auto failing = [](std::int64_t step) {
    if (step == 1) core::user_error("step 1 cannot be read");
    return plan_of(step);
  };
  BatchSource source(dataset, failing, {.end_step = 5, .num_workers = GetParam()});
  EXPECT_NO_THROW(source.next_step());
  EXPECT_NO_THROW(source.next());
  EXPECT_NO_THROW(source.next());
  EXPECT_THROW(source.next_step(), core::UserError);
  EXPECT_THROW(source.next_step(), core::UserError);
}

TEST_P(BatchSourceTest, ASampleThatCannotBeReadFailsInItsPlaceAndStays) {
  const data::Dataset dataset(scratch_.path() / "data", "train");
  const auto beyond = [&](std::int64_t step) {
    return StepPlan{.shards = {{{step}, {dataset.size() + step}, {step}}}};
  };
  BatchSource source(dataset, beyond, {.end_step = 2, .num_workers = GetParam(), .max_ready = 4});
  EXPECT_NO_THROW(source.next_step());
  EXPECT_NO_THROW(source.next());
  EXPECT_THROW(source.next(), core::Fault);
  EXPECT_THROW(source.next(), core::Fault);
}

TEST_P(BatchSourceTest, ReadsNoFurtherThanItsQueueAndEndsAtAnyTime) {
  const data::Dataset dataset(scratch_.path() / "data", "train");
  std::atomic<std::int64_t> steps_read = 0;
  const auto counting = [&](std::int64_t step) {
    ++steps_read;
    return plan_of(step % 3);
  };
  {
    BatchSource source(dataset, counting, {.end_step = 1000000, .num_workers = GetParam(), .max_ready = 2});
    source.next_step();
    source.next();
  }  // one taken, two ready, one in hand: with two a step that is the third step at most
  EXPECT_GE(steps_read, 1);
  EXPECT_LE(steps_read, 3);
  { const BatchSource untouched(dataset, counting, {.end_step = 1000000, .num_workers = GetParam(), .max_ready = 1}); }
}

TEST(Prefetching, ChangesNoBitOfARun) {
  const support::TemporaryDirectory scratch;
  write_random_dataset(scratch / "data", 12);
  std::string metrics[2];
  for (const std::int64_t workers : {0, 1}) {
    TrainJob job = tiny_job(scratch / "data", scratch / std::to_string(workers));
    job.config.dataloader_num_workers = workers;
    job.config.logging_steps = 1;
    run(job);
    metrics[workers] = reproducible_metrics(job.config.output_dir);
  }
  EXPECT_FALSE(metrics[0].empty());
  EXPECT_EQ(metrics[0], metrics[1]);
}

}  // namespace
}  // namespace allreco::train
