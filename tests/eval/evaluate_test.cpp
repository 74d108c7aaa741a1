// The whole document: its numbers again from the predictions, what it says beside them, and that the world size changes
// nothing.
#include "eval/evaluate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <sstream>

#include "core/check.h"
#include "core/files.h"
#include "eval/loss.h"
#include "eval/small_world.h"
#include "model/lora/adapter.h"
#include "support/lone_session.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::eval {
namespace {

using core::Json;
using testing::TinyModel;

constexpr std::uint64_t kExamples = 90;

EvaluateConfig small_config() {
  EvaluateConfig config;
  config.catalogue.ranking = "exhaustive";
  config.max_tokens_per_batch = 150;  // many chunks, so that every rank gets some
  config.per_device_eval_batch_size = 4;
  config.bootstrap_samples = 1000;
  return config;
}

/// fp32: rounding must not depend on the ranks either.
Evaluation evaluate_small(dist::Session& session, const std::filesystem::path& directory,
                          const EvaluateConfig& config = small_config()) {
  TinyModel tiny(at::kFloat);
  const ModelToEvaluate model{tiny.decoder, {.model_name_or_path = "llama-tiny"}};
  const data::Dataset dataset(directory, config.split);
  return evaluate(session, config.baselines_only ? nullptr : &model, dataset, config, dataset.info());
}

std::vector<Json> json_lines(const std::string& text) {
  std::vector<Json> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(Json::parse(line));
  return lines;
}

/// P(right) of the highest score, written out once more.
double expected_accuracy(const std::vector<double>& scores, std::size_t gold) {
  double best = scores[0], tied = 0;
  for (double s : scores) best = std::max(best, s);
  for (double s : scores) tied += s == best;
  return scores[gold] == best ? 1.0 / tied : 0.0;
}

TEST(Evaluate, DocumentAgreesWithPredictions) {
  const support::TemporaryDirectory scratch;
  const auto directory = testing::write_small_dataset(scratch / "ds", kExamples);
  support::LoneSession one;
  const Evaluation evaluation = evaluate_small(one.get(), directory);
  write_evaluation(scratch / "out", evaluation);
  const Json document = core::read_json_file(scratch / "out" / "evaluation.json");
  const auto lines = json_lines(core::read_file(scratch / "out" / "predictions.jsonl"));
  ASSERT_EQ(lines.size(), kExamples);

  double accuracy = 0, per_token = 0, exact = 0, loss = 0, mrr = 0, last = 0;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const Json& line = lines[i];
    EXPECT_EQ(line["index"], i);
    EXPECT_EQ(line["user"], 100 + i / 3);
    const auto scores = line["log_likelihoods"].get<std::vector<double>>();
    const auto counts = line["num_tokens"].get<std::vector<double>>();
    const auto gold = line["gold"].get<std::size_t>();
    std::vector<double> means;
    double mass = 0;
    for (std::size_t j = 0; j < scores.size(); ++j) {
      means.push_back(scores[j] / counts[j]);
      mass += std::exp(scores[j] - scores[gold]);
    }
    accuracy += expected_accuracy(scores, gold);
    per_token += expected_accuracy(means, gold);
    loss += std::log(mass);
    const auto first = line["rank"]["optimistic"].get<std::int64_t>();
    const auto last_rank = line["rank"]["pessimistic"].get<std::int64_t>();
    for (std::int64_t rank = first; rank <= last_rank; ++rank)
      mrr += 1.0 / static_cast<double>(rank * (last_rank - first + 1));
    exact += line["exact_match"].get<bool>();
    EXPECT_EQ(line["exact_match"].get<bool>(), line["generated"] == line["answer"]);
    const auto& candidates = line["candidates"];
    const auto at = std::find(candidates.begin(), candidates.end(), line["last_item"]);
    last += at == candidates.end() ? 1.0 / static_cast<double>(scores.size())
                                   : (at - candidates.begin()) == static_cast<std::ptrdiff_t>(gold);
  }
  const double n = kExamples;
  const Json& report = document["candidates"];
  const auto expect_value = [&](const Json& estimate, double sum) {
    EXPECT_NEAR(estimate["value"].get<double>(), sum / n, 1e-12);  // sums of 90 terms of size 1 to 10
    EXPECT_LE(estimate["bootstrap_95"][0].get<double>(), sum / n);
    EXPECT_GE(estimate["bootstrap_95"][1].get<double>(), sum / n);
  };
  expect_value(report["scores"]["log_likelihood"]["accuracy"], accuracy);
  expect_value(report["scores"]["log_likelihood_per_token"]["accuracy"], per_token);
  expect_value(report["scores"]["log_likelihood"]["log_loss"], loss);
  expect_value(report["scores"]["log_likelihood"]["mrr"], mrr);
  expect_value(report["baselines"]["last_item_repeat"]["accuracy"], last);
  expect_value(document["generation"]["exact_match"], exact);
  EXPECT_NEAR(report["baselines"]["chance"]["accuracy"]["value"].get<double>(), 0.2, 1e-12);
  EXPECT_EQ(report["headline"], "log_likelihood");
  EXPECT_EQ(report["negatives"], "uniform");

  TinyModel tiny(at::kFloat);
  const LossResult again = evaluate_loss(one.get(), tiny.decoder, data::Dataset(directory, "test"), 150);
  EXPECT_EQ(document["loss"]["mean_nll"].get<double>(), again.mean_nll());
  EXPECT_NEAR(document["loss"]["perplexity"].get<double>(),
              std::exp(document["loss"]["sum_nll"].get<double>() / document["loss"]["supervised_tokens"].get<double>()),
              1e-9 * again.perplexity());
}

/// An accuracy never alone: whatever is printed has its intervals and all baselines, applicable or not.
TEST(Evaluate, TableShowsBaselinesAndWarnings) {
  const support::TemporaryDirectory scratch;
  support::LoneSession one;
  EvaluateConfig config = small_config();
  config.max_eval_samples = 12;
  const Evaluation evaluation =
      evaluate_small(one.get(), testing::write_small_dataset(scratch / "ds", kExamples), config);
  const std::string table = accuracy_table(evaluation.document);
  for (const char* text :
       {"log-likelihood", "per token", "chance", "most_popular_candidate", "unseen_in_train_else_popular",
        "shortest_title", "fewest_odd_characters", "last_item_repeat", "majority", "Wilson 95 %",
        "bootstrap over users 95 %", "negatives: uniform", "5 candidates", "split by random",
        "warning: the split is random", "warning: only the first 12 of 90", "is not clearly above chance 20.0 %"})
    EXPECT_NE(table.find(text), std::string::npos) << text << "\n" << table;
  EXPECT_EQ(evaluation.examples.size(), 12u);
}

TEST(Evaluate, SaysWhatDoesNotApply) {
  const support::TemporaryDirectory scratch;
  data::DatasetWriterOptions options;
  options.directory = scratch / "ds";
  options.vocab_size = 512;
  data::DatasetWriter writer(options);
  writer.append("test", testing::tokens_only({1, 5, 9, 30, 31}, 3));
  writer.append("test", testing::tokens_only({1, 7, 40}, 2));
  writer.finish({}, {});
  support::LoneSession one;
  const Evaluation evaluation = evaluate_small(one.get(), scratch / "ds");
  const Json document = core::json_of(evaluation.document);
  EXPECT_EQ(document["candidates"], Json({{"not_applicable", "the examples have no candidates"}}));
  for (const char* name : {"chance", "majority", "last_item_repeat"})
    EXPECT_TRUE(document["generation"]["baselines"][name].contains("not_applicable")) << name;
  EXPECT_NE(accuracy_table(evaluation.document).find("not applicable: the examples have no candidates"),
            std::string::npos);
  write_evaluation(scratch / "out", evaluation);
  EXPECT_EQ(json_lines(core::read_file(scratch / "out" / "predictions.jsonl")).at(1)["answer"], Json({40}));
}

TEST(Evaluate, RefusesBadInput) {
  const support::TemporaryDirectory scratch;
  data::DatasetWriterOptions options;
  options.directory = scratch / "ds";
  options.vocab_size = 600;  // the model has 512
  data::DatasetWriter writer(options);
  writer.append("test", testing::tokens_only({1, 5, 9}, 2));
  writer.finish({}, {});
  support::LoneSession one;
  EXPECT_THROW(evaluate_small(one.get(), scratch / "ds"), core::UserError);
  EvaluateConfig config;
  config.bootstrap_samples = 999;
  EXPECT_THROW(core::check_options(config), core::UserError);
}

/// Leaving out what is not known would leave out nothing, and say otherwise.
TEST(Evaluate, LeavesOutItemsOfHistoriesOnlyWhereTheyAreKnown) {
  const support::TemporaryDirectory scratch;
  const std::vector<data::Item> items = testing::small_catalogue();
  data::DatasetWriterOptions options;
  options.directory = scratch / "ds";
  options.vocab_size = 512;
  options.eos_id = testing::kEos;
  data::DatasetWriter writer(options);
  for (std::uint64_t i = 0; i < 6; ++i) {
    data::Example example = testing::small_example(i, items);
    example.history.clear();
    writer.append("test", example);
  }
  writer.finish(items, {});
  support::LoneSession one;
  EvaluateConfig config = small_config();
  config.baselines_only = true;
  const Evaluation ranked = evaluate_small(one.get(), scratch / "ds", config);
  EXPECT_TRUE(ranked.document.catalogue);
  config.catalogue.history_items = "exclude";
  const std::string said = support::message_of([&] { evaluate_small(one.get(), scratch / "ds", config); });
  EXPECT_NE(said.find("the split test of"), std::string::npos) << said;
  EXPECT_NE(said.find("use history_items = rank"), std::string::npos) << said;
  config.control = "blank_history";
  const std::string of_control = support::message_of([&] { evaluate_small(one.get(), scratch / "ds", config); });
  EXPECT_NE(of_control.find("control = blank_history has none"), std::string::npos) << of_control;
  config.catalogue.ranking = "candidates";  // where the option says nothing
  EXPECT_EQ(support::message_of([&] { evaluate_small(one.get(), scratch / "ds", config); }), "");
}

/// The whole catalogue's metrics again from the predictions' ranks, and every baseline beside them.
TEST(Evaluate, CatalogueAgreesWithPredictions) {
  const support::TemporaryDirectory scratch;
  const auto directory = testing::write_small_dataset(scratch / "ds", kExamples);
  support::LoneSession one;
  const Evaluation evaluation = evaluate_small(one.get(), directory);
  write_evaluation(scratch / "out", evaluation);
  double hits = 0, gain = 0, mrr = 0;
  for (const Json& line : json_lines(core::read_file(scratch / "out" / "predictions.jsonl"))) {
    const auto first = line["catalogue_rank"]["optimistic"].get<std::int64_t>();
    const auto last = line["catalogue_rank"]["pessimistic"].get<std::int64_t>();
    for (std::int64_t rank = first; rank <= last; ++rank) {
      const double weight = 1.0 / static_cast<double>(last - first + 1);
      hits += rank <= 5 ? weight : 0;
      gain += rank <= 5 ? weight / std::log2(static_cast<double>(rank) + 1) : 0;
      mrr += weight / static_cast<double>(rank);
    }
    EXPECT_EQ(line["recommended"].size(), 10u);
  }
  const Json report = core::read_json_file(scratch / "out" / "evaluation.json")["catalogue"];
  const Json& scores = report["scores"]["log_likelihood"];
  EXPECT_NEAR(scores["hit_rate@5"]["value"].get<double>(), hits / kExamples, 1e-12);  // means of 90 numbers up to 1
  EXPECT_NEAR(scores["ndcg@5"]["value"].get<double>(), gain / kExamples, 1e-12);
  EXPECT_NEAR(scores["mrr"]["value"].get<double>(), mrr / kExamples, 1e-12);
  EXPECT_TRUE(scores["other_rule"].contains("hit_rate@5"));
  EXPECT_NEAR(report["baselines"]["chance"]["hit_rate@5"]["value"].get<double>(), 5.0 / testing::kNumItems, 1e-12);
  for (const char* name : {"chance", "popularity", "recent_popularity", "last_item", "co_occurrence", "item_knn",
                           "bm25", "tf_idf", "co_occurrence_text", "shortest_title", "fewest_odd_characters"})
    EXPECT_TRUE(report["baselines"][name].contains("ndcg@10")) << name;
}

/// Ten places hold all of eight items: every one is hit, and their order still counts.
TEST(Evaluate, AtTenIsGivenOfFewerItemsToo) {
  const support::TemporaryDirectory scratch;
  std::vector<data::Item> items = testing::small_catalogue();
  items.resize(8);
  data::DatasetWriterOptions options;
  options.directory = scratch / "ds";
  options.vocab_size = 512;
  options.eos_id = testing::kEos;
  data::DatasetWriter writer(options);
  for (std::uint32_t i = 0; i < 12; ++i) {
    core::RandomStream stream(core::mix_key(core::key_of("few items"), {i}));
    data::Example example = testing::tokens_only(testing::random_tokens(stream, 6), 6);
    example.target = i % 8;
    example.history = {(i + 3) % 8};
    example.last_item = example.history.back();
    example.tokens.insert(example.tokens.end(), items[*example.target].tokens.begin(),
                          items[*example.target].tokens.end());
    example.tokens.push_back(testing::kEos);
    writer.append("test", example);
  }
  writer.finish(items, {});
  support::LoneSession one;
  EvaluateConfig config = small_config();
  config.generate = false;
  const Evaluation evaluation = evaluate_small(one.get(), scratch / "ds", config);
  double gain = 0;
  for (const CatalogueRank& rank : evaluation.catalogue_ranking.ranks.front()) {
    const double weight = 1.0 / static_cast<double>(rank.among_all.num_equal + 1);
    for (std::int64_t r = rank.among_all.optimistic(); r <= rank.among_all.pessimistic(); ++r)
      gain += weight / std::log2(static_cast<double>(r) + 1);
  }
  const Json report = core::json_of(*evaluation.document.catalogue);
  for (const Json* metrics : {&report["scores"]["log_likelihood"], &report["scores"]["log_likelihood"]["other_rule"],
                              &report["baselines"]["chance"]}) {
    EXPECT_EQ((*metrics)["hit_rate@10"]["value"], 1.0);
    EXPECT_TRUE(metrics->contains("ndcg@10"));
    EXPECT_FALSE(metrics->contains("hit_rate@20"));
  }
  EXPECT_NEAR(report["scores"]["log_likelihood"]["ndcg@10"]["value"].get<double>(), gain / 12, 1e-12);  // 12 of up to 1
  EXPECT_NE(accuracy_table(evaluation.document).find("ndcg@10"), std::string::npos);
}

TEST(Evaluate, BaselinesNeedNoModelAndAreTheSameBesideOne) {
  const support::TemporaryDirectory scratch;
  const auto directory = testing::write_small_dataset(scratch / "ds", kExamples);
  support::LoneSession one;
  EvaluateConfig config = small_config();
  const Json beside = core::json_of(evaluate_small(one.get(), directory, config).document);
  config.baselines_only = true;
  const Evaluation alone = evaluate_small(one.get(), directory, config);
  Json document = core::json_of(alone.document);
  for (const char* part : {"candidates", "catalogue"}) {
    EXPECT_EQ(document[part]["baselines"], beside[part]["baselines"]) << part;
    EXPECT_TRUE(document[part]["scores"].empty()) << part;
  }
  EXPECT_EQ(document["loss"], Json({{"not_applicable", "baselines_only = true"}}));
  EXPECT_EQ(document["model"], document["loss"]);
  write_evaluation(scratch / "out", alone);
  document["predictions_sha256"] = core::sha256_of_file(scratch / "out" / "predictions.jsonl");
  EXPECT_EQ(core::json_of(read_evaluation(scratch / "out" / "evaluation.json")), document);
}

/// Beside a model with an adapter, what an evaluation of the model alone finds, to the bit; and nothing else changes.
TEST(Evaluate, TheBaseModelIsABaselineWhereAskedFor) {
  const support::TemporaryDirectory scratch;
  const data::Dataset dataset(testing::write_small_dataset(scratch / "ds", kExamples), "test");
  support::LoneSession one;
  const model::BaseModel base = model::load_base_model(TinyModel::directory().string(), "float32");
  const auto lora =
      model::load_adapter(testing::repository("tests/fixtures/golden/lora-grad/all7/adapter").string(), base);
  model::Decoder with(base.config, base.weights, lora.get()), without(base.config, base.weights, nullptr);
  const auto evaluated = [&](model::Decoder& decoder, bool beside) {
    EvaluateConfig config = small_config();
    config.base_model_baseline = beside;
    const ModelToEvaluate model{decoder, {}, &without};
    return core::json_of(evaluate(one.get(), &model, dataset, config, dataset.info()).document);
  };
  Json beside = evaluated(with, true);
  const Json alone = evaluated(without, false), plain = evaluated(with, false);
  for (const char* part : {"candidates", "catalogue"}) {
    Json& baselines = beside[part]["baselines"];
    for (const char* metric : {"mrr", "ndcg@2", "ndcg@5", "hit_rate@5", "accuracy"}) {
      const Json& expected = alone[part]["scores"]["log_likelihood"];
      EXPECT_EQ(baselines["base_model"].value(metric, Json()), expected.value(metric, Json())) << part << metric;
    }
    EXPECT_NE(baselines["base_model"]["mrr"], beside[part]["scores"]["log_likelihood"]["mrr"]) << part;
    baselines.erase("base_model");
    EXPECT_EQ(beside[part]["baselines"], plain[part]["baselines"]);
    EXPECT_EQ(beside[part]["scores"], plain[part]["scores"]);
  }
}

/// What is written is what is read: one description of the fields serves both ways.
TEST(Evaluate, DocumentIsReadAsItIsWritten) {
  const support::TemporaryDirectory scratch;
  const auto directory = testing::write_small_dataset(scratch / "ds", kExamples);
  support::LoneSession one;
  write_evaluation(scratch / "out", evaluate_small(one.get(), directory));
  const auto path = scratch / "out" / "evaluation.json";
  const Json written = core::read_json_file(path);
  EXPECT_EQ(core::json_of(read_evaluation(path)).dump(), written.dump());

  Json changed = written;
  changed["candidates"]["lists"] = 3;  // nobody's key
  changed["candidates"]["scores"]["log_likelihood"]["mrr"]["value"] = "high";
  core::write_json_file(path, changed);
  EXPECT_THROW(read_evaluation(path), core::UserError);
  changed = written;
  changed["format_version"] = 2;
  core::write_json_file(path, changed);
  EXPECT_THROW(read_evaluation(path), core::UserError);
}

/// Started under mpirun by the test below: reads the dataset and writes the evaluation to the places that the
/// environment names.
TEST(MpiEvaluate, WriteEvaluation) {
  const char* dataset = std::getenv("ALLRECO_TEST_DATASET");
  const char* output = std::getenv("ALLRECO_TEST_OUTPUT");
  ASSERT_TRUE(dataset && output);
  support::LoneSession ranks;
  const Evaluation evaluation = evaluate_small(ranks.get(), dataset);
  EXPECT_EQ(evaluation.document.dataset.split.empty(), !ranks.get().is_leader());
  if (ranks.get().is_leader()) write_evaluation(output, evaluation);
}

TEST(Evaluate, WorldSizeChangesNoByte) {
  const support::TemporaryDirectory scratch;
  const auto directory = testing::write_small_dataset(scratch / "ds", kExamples);
  std::string lone_document, lone_predictions;
  {
    support::LoneSession one;
    write_evaluation(scratch / "lone", evaluate_small(one.get(), directory));
    lone_document = core::read_file(scratch / "lone" / "evaluation.json");
    lone_predictions = core::read_file(scratch / "lone" / "predictions.jsonl");
  }
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  ::setenv("ALLRECO_TEST_DATASET", directory.c_str(), 1);
  for (int ranks : {2, 4}) {
    const auto output = scratch / fmt::format("ranks{}", ranks);
    ::setenv("ALLRECO_TEST_OUTPUT", output.c_str(), 1);
    const std::string command =
        fmt::format("mpirun --oversubscribe --bind-to none -n {} {} --gtest_filter=MpiEvaluate.* >{}.log 2>&1", ranks,
                    program, output.string());
    ASSERT_EQ(std::system(command.c_str()), 0) << core::read_file(output.string() + ".log");
    EXPECT_EQ(core::read_file(output / "evaluation.json"), lone_document) << ranks;
    EXPECT_EQ(core::read_file(output / "predictions.jsonl"), lone_predictions) << ranks;
  }
}

}  // namespace
}  // namespace allreco::eval
