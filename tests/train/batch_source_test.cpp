// The prefetcher: the same batches in the same order, errors in their place, and an orderly end at any time.
#include "train/batch_source.h"

#include <gtest/gtest.h>

#include <atomic>

#include "core/check.h"
#include "train/scratch.h"
#include "train/tiny_run.h"

namespace allreco::train {
namespace {

using Samples = std::vector<std::vector<std::int64_t>>;

class BatchSourceTest : public ::testing::Test {
 protected:
  BatchSourceTest() { write_random_dataset(scratch_.path() / "data", 12); }
  Scratch scratch_;
};

/// Step s: samples s and s + 1, then s + 2 alone.
Samples samples_of(std::int64_t step) { return {{step, step + 1}, {step + 2}}; }

TEST_F(BatchSourceTest, GivesTheBatchesOfEachStepInOrder) {
  const data::Dataset dataset(scratch_.path() / "data", "train");
  BatchSource source(dataset, samples_of, {.first_step = 2, .end_step = 8, .max_ready = 3});
  for (std::int64_t step = 2; step < 8; ++step) {
    for (const auto& samples : samples_of(step)) {
      const MicroBatch found = source.next(), wanted = pack_micro_batch(dataset, samples);
      ASSERT_EQ(found.batch.has_value(), wanted.batch.has_value());
      if (!wanted.batch) continue;
      EXPECT_TRUE(found.batch->tokens.equal(wanted.batch->tokens)) << step;
      EXPECT_TRUE(found.batch->targets.equal(wanted.batch->targets)) << step;
      EXPECT_EQ(found.batch->sample_keys, wanted.batch->sample_keys) << step;
    }
  }
  EXPECT_THROW(source.next(), core::Fault);
}

TEST_F(BatchSourceTest, AnErrorComesInItsPlaceAndStays) {
  const data::Dataset dataset(scratch_.path() / "data", "train");
  const auto failing = [](std::int64_t step) {
    if (step == 1) core::user_error("step 1 cannot be read");
    return samples_of(step);
  };
  BatchSource source(dataset, failing, {.end_step = 5});
  EXPECT_NO_THROW(source.next());
  EXPECT_NO_THROW(source.next());
  EXPECT_THROW(source.next(), core::UserError);
  EXPECT_THROW(source.next(), core::UserError);
}

TEST_F(BatchSourceTest, ReadsNoFurtherThanItsQueueAndEndsAtAnyTime) {
  const data::Dataset dataset(scratch_.path() / "data", "train");
  std::atomic<std::int64_t> steps_read = 0;
  const auto counting = [&](std::int64_t step) {
    ++steps_read;
    return samples_of(step % 8);
  };
  {
    BatchSource source(dataset, counting, {.end_step = 1000000, .max_ready = 2});
    source.next();
  }  // one taken, two ready, one in hand: with two a step that is the third step at most
  EXPECT_GE(steps_read, 1);
  EXPECT_LE(steps_read, 3);
  { const BatchSource untouched(dataset, counting, {.end_step = 1000000, .max_ready = 1}); }
}

}  // namespace
}  // namespace allreco::train
