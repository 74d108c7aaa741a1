// What training measures is what evaluate says of the same examples.
#include "eval/training_metrics.h"

#include <gtest/gtest.h>

#include "core/check.h"
#include "eval/evaluate.h"
#include "eval/small_world.h"
#include "support/lone_session.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::eval {
namespace {

using testing::TinyModel;

TEST(TrainingMetrics, AreThoseOfEvaluate) {
  const support::TemporaryDirectory scratch;
  const data::Dataset dataset(testing::write_small_dataset(scratch / "ds", 30), "test");
  support::LoneSession one;
  TinyModel tiny;
  EvaluateConfig config;
  config.bootstrap_samples = 1000;
  config.generate = false;
  config.max_eval_samples = 20;
  config.catalogue.ranking = "exhaustive";
  const ModelToEvaluate model{tiny.decoder, {}};
  const EvaluationDocument document = evaluate(one.get(), &model, dataset, config, dataset.info()).document;
  const auto& among = document.candidates->scores.front().second.metrics;
  const auto& in_all = document.catalogue->scores.front().second.values.metrics;
  const auto measured = [&](const char* metric) {
    return training_metrics(one.get(), tiny.decoder, dataset, {.metric = metric, .max_eval_samples = 20}).value;
  };
  EXPECT_EQ(measured("loss"), document.loss->mean_nll);
  // Means of 20 numbers in another order; mrr of ties from differences of sums.
  EXPECT_NEAR(measured("accuracy"), estimate_of(among, "accuracy").value, 1e-12);
  EXPECT_NEAR(measured("hit_rate@10"), estimate_of(in_all, "hit_rate@10").value, 1e-12);
  EXPECT_NEAR(measured("ndcg@10"), estimate_of(in_all, "ndcg@10").value, 1e-12);
  EXPECT_NEAR(measured("mrr"), estimate_of(in_all, "mrr").value, 1e-12);
}

/// Examples 0 to 3: nothing, a target, a list of one, a list whose right candidate is known.
TEST(TrainingMetrics, AreRequiredOfTheExamplesThatAreEvaluated) {
  const support::TemporaryDirectory scratch;
  const std::vector<data::Item> items = testing::small_catalogue();
  data::DatasetWriter writer({.directory = scratch / "ds", .tokenizer = {}, .tokenizer_sha256 = {}, .vocab_size = 512});
  data::Example example = testing::tokens_only({1, 5, 9, 30, 31}, 3);
  writer.append("test", example);
  example.target = 2;
  writer.append("test", example);
  example.candidates = {2};
  example.gold = 0;
  writer.append("test", example);
  example.candidates = {2, 4};
  writer.append("test", example);
  writer.finish(items, {});
  const data::Dataset dataset(scratch / "ds", "test");
  const auto said = [&](const char* metric, std::int64_t count) {
    return support::message_of([&] { require_metric(dataset, {.metric = metric, .max_eval_samples = count}); });
  };
  EXPECT_NE(said("mrr", 1).find("metric_for_best_model = mrr: no example of the split says"), std::string::npos);
  EXPECT_EQ(said("mrr", 2), "");
  EXPECT_NE(said("accuracy", 3).find("no example of the split has candidates"), std::string::npos);
  EXPECT_EQ(said("accuracy", 4), "");
  EXPECT_EQ(said("accuracy", 0), "");
  EXPECT_EQ(said("loss", 1), "");
}

TEST(TrainingMetrics, SayWhatASplitLacks) {
  const support::TemporaryDirectory scratch;
  data::DatasetWriter writer({.directory = scratch / "ds", .tokenizer = {}, .tokenizer_sha256 = {}, .vocab_size = 512});
  writer.append("test", testing::tokens_only({1, 5, 9, 30, 31}, 3));
  writer.finish({}, {});
  const data::Dataset dataset(scratch / "ds", "test");
  support::LoneSession one;
  TinyModel tiny;
  for (const char* metric : {"accuracy", "ndcg@10"})
    EXPECT_THROW(training_metrics(one.get(), tiny.decoder, dataset, {.metric = metric}), core::UserError) << metric;
  EXPECT_NO_THROW(require_metric(dataset, {}));
  EXPECT_GT(training_metrics(one.get(), tiny.decoder, dataset, {}).value, 0);
}

}  // namespace
}  // namespace allreco::eval
