#include "train/metrics_log.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/check.h"
#include "core/files.h"
#include "support/temporary_directory.h"
#include "train/files.h"
#include "train/progress.h"

namespace allreco::train {
namespace {

TEST(MetricsLog, AppendsFlushedLinesAndKeepsEveryDouble) {
  const support::TemporaryDirectory scratch;
  MetricsLog log(scratch / "metrics.jsonl", -1);
  log.append({{"step", 1}, {"loss", 0.1}, {"learning_rate", 1.0 / 3}});
  log.append({{"step", 2}, {"loss", std::nan("")}});
  // Read while the log is still open: each line is out.
  EXPECT_EQ(core::read_file(scratch / "metrics.jsonl"),
            "{\"step\":1,\"loss\":0.1,\"learning_rate\":0.3333333333333333}\n{\"step\":2,\"loss\":null}\n");
}

TEST(MetricsLog, ResumeDropsTheFutureAndACutLine) {
  const support::TemporaryDirectory scratch;
  const auto path = scratch / "metrics.jsonl";
  write_text(path,
             "{\"step\":4,\"loss\":2.5}\n{\"step\":5,\"eval_loss\":2.0}\n{\"step\":6,\"loss\":1.5}\n{\"step\":7,\"lo");
  {
    MetricsLog log(path, 5);
    log.append({{"step", 6}, {"loss", 1.25}});
  }
  EXPECT_EQ(core::read_file(path),
            "{\"step\":4,\"loss\":2.5}\n{\"step\":5,\"eval_loss\":2.0}\n{\"step\":6,\"loss\":1.25}\n");
  MetricsLog(path, -1);  // a new run
  EXPECT_EQ(core::read_file(path), "");
  EXPECT_THROW(MetricsLog(scratch / "missing/metrics.jsonl", -1), core::UserError);
}

TEST(Progress, LineShowsPlaceLossSpeedAndTimeLeft) {
  const ProgressPoint point{.step = 50, .epoch = 0.5, .loss = 2.34567, .tokens_per_second = 1234.4};
  EXPECT_EQ(progress_line(point, 100, 75.0),
            "50/100 [############------------] epoch 0.50 loss 2.3457 1234 tokens/s ETA 1:02:30");
  EXPECT_NE(progress_line({.step = 100}, 100, 1.0).find("[########################]"), std::string::npos);
}

}  // namespace
}  // namespace allreco::train
